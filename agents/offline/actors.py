"""Stochastic policies, trained with weighted maximum likelihood on the dataset's actions."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Normal

from agentgym.agents.common.optim import FusedAdam
from agentgym.agents.common.stack.memory import Scratch
from agentgym.agents.offline.networks import MLP, Normalizer

if TYPE_CHECKING:
    from agentgym.agents.common.stack.stack import Stack

__all__ = ["Actor", "CategoricalActor", "GaussianActor"]

LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0  # as in IQL's and ODICE's released code
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Actor(nn.Module):
    """Base of stochastic policies pi(a|s).

    Args:
        normalizer: shared with the policy that contains this actor.
        observations: size of a flat observation, D.
        layers: units of each hidden layer.
        actions: size of an action, or number of discrete actions, A.
    """

    def __init__(self, normalizer: Normalizer, observations: int, layers: Sequence[int], actions: int) -> None:
        super().__init__()
        self.network = MLP(observations, layers, actions)
        self._normalizer = [normalizer]  # in a list, so that it is not a submodule

    def log_prob(self, states: Tensor, actions: Tensor) -> Tensor:
        """log pi(a|s), ``[B]``, of normalised states ``[B, D]`` and dataset actions ``[B, A]`` or int64 ``[B]``."""
        return self.log_prob_at(self.network(states).squeeze(0), actions)

    def log_prob_at(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """The same from the network's outputs, ``[B, A]``."""
        raise NotImplementedError

    def distribution(self, observations: Tensor) -> Distribution:
        """pi(.|s) for unprocessed observations ``[B, ...]``."""
        raise NotImplementedError

    def act(self, observations: Tensor, deterministic: bool, generator: torch.Generator) -> Tensor:
        """Actions ``[B, A]`` in [-1, 1] or int64 ``[B]``: the mode or a sample."""
        raise NotImplementedError

    def outputs(self, observations: Tensor) -> Tensor:
        """The network's outputs, ``[B, A]``, for unprocessed observations."""
        found: Tensor = self.network(self._normalizer[0](observations)).squeeze(0)
        return found

    def stack(self, scratch: Scratch, optimizer: FusedAdam) -> "Stack":
        """The network as a stack, with all parameters."""
        within = {id(parameter) for parameter in self.network.parameters()}
        beside = [parameter for parameter in self.parameters() if id(parameter) not in within]
        return self.network.stack(scratch, optimizer, beside)


class GaussianActor(Actor):
    """N(mean(s), std) with a learned standard deviation that is the same in all states. Actions are clipped to [-1, 1].

    Args:
        normalizer, observations, layers, actions: see :class:`Actor`.
        bounded: apply a tanh to the mean (the distribution itself is never squashed).
    """

    def __init__(
        self, normalizer: Normalizer, observations: int, layers: Sequence[int], actions: int, bounded: bool
    ) -> None:
        super().__init__(normalizer, observations, layers, actions)
        self.log_std = nn.Parameter(torch.zeros(actions))
        self.bounded = bounded

    def _mean(self, outputs: Tensor) -> Tensor:
        return torch.tanh(outputs) if self.bounded else outputs

    def log_prob_at(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Sum over A of -((a - mean) / std)^2 / 2 - log std - log(2 pi) / 2."""
        mean, log_std = self._mean(outputs), self.log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)
        squares = ((actions - mean) * torch.exp(-log_std)).square().sum(1)
        return -0.5 * squares - (log_std + _HALF_LOG_TWO_PI).sum()

    def distribution(self, observations: Tensor) -> Distribution:
        """Independent Gaussians, ``[B, A]``."""
        mean = self._mean(self.outputs(observations))
        return Normal(mean, self.log_std.clamp(LOG_STD_MIN, LOG_STD_MAX).exp().expand_as(mean))

    def forward(self, observations: Tensor) -> Tensor:
        """The mode, ``[B, A]`` in [-1, 1]."""
        return self._mean(self.outputs(observations)).clamp(-1, 1)

    def act(self, observations: Tensor, deterministic: bool, generator: torch.Generator) -> Tensor:
        """The mode or a sample."""
        if deterministic:
            return self(observations)
        mean, scale = self._mean(self.outputs(observations)), self.log_std.clamp(LOG_STD_MIN, LOG_STD_MAX).exp()
        return (mean + scale * torch.randn(mean.shape, generator=generator, device=mean.device)).clamp(-1, 1)


class CategoricalActor(Actor):
    """A softmax over the discrete actions."""

    def log_prob_at(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """The log-softmax at the given actions."""
        return outputs.log_softmax(1).gather(1, actions[:, None]).squeeze(1)

    def distribution(self, observations: Tensor) -> Distribution:
        """A categorical distribution, ``[B]``."""
        return Categorical(logits=self.outputs(observations))

    def forward(self, observations: Tensor) -> Tensor:
        """The probability of each action, ``[B, A]``."""
        return self.outputs(observations).softmax(1)

    def act(self, observations: Tensor, deterministic: bool, generator: torch.Generator) -> Tensor:
        """The most probable action, or a sample."""
        probabilities: Tensor = self(observations)
        if deterministic:
            return probabilities.argmax(1)
        return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)
