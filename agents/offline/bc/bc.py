"""Behaviour cloning of all episodes, or of those with the highest returns (%BC)."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from agentgym.agents.common.optim import FusedAdam, set_gradients
from agentgym.agents.offline.bc.config import BCConfig, PercentBCConfig
from agentgym.agents.offline.networks import MLP, Normalizer, OfflinePolicy
from agentgym.agents.offline.transitions import TransitionAgent
from agentgym.contracts.agent import Traits
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import InvalidParameter

if TYPE_CHECKING:
    from agentgym.agents.common.stack.stack import Stack

__all__ = ["BC", "PercentBC"]


class CloningPolicy(OfflinePolicy):
    """Normaliser and actor. Outputs are actions through a tanh (Box), or logits (Discrete).

    Attributes:
        cloned_return: mean return of the cloned episodes.
    """

    def __init__(self, observations: int, layers: tuple[int, ...], actions: int, discrete: bool) -> None:
        super().__init__()
        self.normalizer = Normalizer(observations)
        self.actor = _Actor(self.normalizer, MLP(observations, layers, actions), discrete)
        self.cloned_return: Tensor
        self.register_buffer("cloned_return", torch.zeros(()))


class _Actor(nn.Module):
    def __init__(self, normalizer: Normalizer, network: MLP, discrete: bool) -> None:
        super().__init__()
        self.network, self.discrete = network, discrete
        self._normalizer = [normalizer]  # in a list, so that it is not a submodule

    def of_states(self, states: Tensor) -> Tensor:
        """Actions in [-1, 1], or logits, ``[B, A]``, for normalised states ``[B, D]``."""
        return self.at(self.network(states).squeeze(0))

    def at(self, outputs: Tensor) -> Tensor:
        """The same from the network's outputs, ``[B, A]``."""
        return outputs if self.discrete else torch.tanh(outputs)

    def forward(self, observations: Tensor) -> Tensor:
        """The same for unprocessed observations ``[B, ...]``."""
        return self.of_states(self._normalizer[0](observations))


class BC(TransitionAgent):
    """Behaviour cloning, with mean squared error for Box actions and cross-entropy for Discrete ones.

    Args:
        policy, env, dataset, seed, device: see :class:`~agentgym.agents.offline.agent.OfflineAgent`.
        **settings: fields of :class:`~agentgym.agents.offline.bc.config.BCConfig`.
    """

    catalog_name: ClassVar[str] = "bc"
    Config = BCConfig
    action_spaces: ClassVar[Any] = (spaces.Box, spaces.Discrete)
    metric_names: ClassVar[tuple[str, ...]] = ("loss",)

    policy: CloningPolicy

    def _build(self) -> None:
        if not 0 < self.settings.top <= 1:
            raise InvalidParameter(f"top is {self.settings.top}; it is a share of the episodes, above 0 and up to 1.")
        discrete = isinstance(self.action_space, spaces.Discrete)
        self.policy = CloningPolicy(self.observation_width, self.settings.layers, self.action_width, discrete)
        self.actor = self.policy.actor

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        self._parameters = list(self.actor.parameters())
        actor = FusedAdam(self._parameters, lr=self.settings.learning_rate)
        scratch = self._scratch([actor])
        self._stack: Stack | None = None if scratch is None else self.actor.network.stack(scratch, actor)
        return {"actor": actor}

    def _take(self, dataset: OfflineDataset) -> None:
        cloned = best_episodes(dataset, self.settings.top)
        super()._take(cloned)
        self.policy.cloned_return.fill_(float(cloned.returns.mean()))

    def _update(self) -> tuple[Tensor, ...]:
        batch = self._sample()
        cloning = F.cross_entropy if self.actor.discrete else F.mse_loss
        if self._stack is None:
            loss = cloning(self.actor.of_states(batch.states), batch.actions)
            set_gradients(loss, self._parameters)
            self.optimizers["actor"].step()
        else:
            self._stack.bind()
            outputs = self._stack.outputs(batch.states, keep=True).requires_grad_()
            loss = cloning(self.actor.at(outputs[0]), batch.actions)
            self._stack.descend(outputs, [loss])
            self._stack.adam()
        return (loss.detach(),)

    def _act(self, observations: Tensor, deterministic: bool) -> Tensor:
        outputs = self.actor(observations)
        if not self.actor.discrete:
            return outputs
        if deterministic:
            return outputs.argmax(1)
        return torch.multinomial(outputs.softmax(1), 1, generator=self.generator).squeeze(1)


class PercentBC(BC):
    """%BC: clones the best episodes and predicts their mean return, which may include luck."""

    catalog_name: ClassVar[str] = "percent-bc"
    Config = PercentBCConfig
    traits: ClassVar[Traits] = replace(BC.traits, promises=True)

    def promised(self, state: Any, count: int) -> np.ndarray:
        """The mean return of the cloned episodes, ``[count]``."""
        return np.full(count, self.policy.cloned_return.item())


def best_episodes(dataset: OfflineDataset, share: float) -> OfflineDataset:
    """The ``share`` of the episodes with the highest returns, at least one. Ties go to earlier episodes."""
    if share == 1.0:
        return dataset
    count = max(1, math.ceil(share * dataset.episodes))
    chosen = np.sort(np.argsort(-dataset.returns, kind="stable")[:count])
    return dataset.select(chosen, f"{dataset.description.name} (best {count} episodes)")
