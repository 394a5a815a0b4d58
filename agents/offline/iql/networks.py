"""IQL's networks: V, two critics with targets, and a policy, initialised as the authors do."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agentgym.agents.offline.actors import Actor
from agentgym.agents.offline.networks import MLP, Normalizer, OfflinePolicy

__all__ = ["Critic", "IQLPolicy", "orthogonal"]

CRITICS = 2


class Critic(nn.Module):
    """The critics Q_1 and Q_2.

    Args:
        normalizer: shared with the policy that contains this critic.
        observations: size of a flat observation, D.
        layers: units of each hidden layer.
        actions: size of an action, or number of discrete actions, A. Discrete actions are outputs, not inputs.
        discrete: whether actions are discrete.
    """

    def __init__(
        self, normalizer: Normalizer, observations: int, layers: Sequence[int], actions: int, discrete: bool
    ) -> None:
        super().__init__()
        inputs, outputs = (observations, actions) if discrete else (observations + actions, 1)
        self.network = orthogonal(MLP(inputs, layers, outputs, CRITICS))
        self.discrete = discrete
        self._normalizer = [normalizer]  # in a list, so that it is not a submodule

    def q_values(self, states: Tensor, actions: Tensor) -> Tensor:
        """Q_i(s, a), ``[2, B]``, of normalised states ``[B, D]`` and actions ``[B, A]`` or int64 ``[B]``."""
        if not self.discrete:
            return self.network(states, actions).squeeze(2)
        return self.at(self.network(states), actions)

    def at(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Q_i(s, a) of discrete actions int64 ``[B]``, ``[2, B]``, from the networks' outputs, ``[2, B, A]``."""
        return outputs.gather(2, actions.expand(CRITICS, -1)[:, :, None]).squeeze(2)

    def forward(self, observations: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        """The value of each critic, ``[B, 1]`` each, for unprocessed observations.

        Args:
            observations: ``[B, ...]``.
            actions: ``[B, A]``; for discrete actions their probabilities, and the value is the expectation.
        """
        states = self._normalizer[0](observations)
        if not self.discrete:
            return tuple(self.network(states, actions))
        return tuple((self.network(states) * actions).sum(2, keepdim=True))


class IQLPolicy(OfflinePolicy):
    """All of IQL's networks.

    Args:
        normalizer: of the observations.
        actor: the policy.
        observations, layers, actions, discrete: see :class:`Critic`.
    """

    def __init__(
        self, normalizer: Normalizer, actor: Actor, observations: int, layers: Sequence[int], actions: int,
        discrete: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalizer = normalizer
        self.actor = actor
        orthogonal(actor.network)
        self.value = orthogonal(MLP(observations, layers, 1))
        self.critic = Critic(normalizer, observations, layers, actions, discrete)
        self.critic_target = Critic(normalizer, observations, layers, actions, discrete).requires_grad_(False)
        self.critic_target.load_state_dict(self.critic.state_dict())


@torch.no_grad()
def orthogonal(network: MLP) -> MLP:
    """Initialise all layers orthogonally with gain sqrt(2) and without bias, as the authors do."""
    for weights, biases in zip(network.weights, network.biases, strict=True):
        for weight in weights:
            nn.init.orthogonal_(weight, math.sqrt(2))
        biases.zero_()
    return network
