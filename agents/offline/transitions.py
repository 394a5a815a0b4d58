"""The base class of agents that learn from single transitions, which it batches on the device and normalises."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from agentgym.agents.common.stack.choice import on_stacks
from agentgym.agents.common.stack.memory import Scratch
from agentgym.agents.offline.agent import OfflineAgent
from agentgym.agents.offline.networks import Normalizer
from agentgym.data.dataset import OfflineDataset

__all__ = ["Batch", "TransitionAgent"]


class Batch(NamedTuple):
    """B transitions.

    Attributes:
        rows: int64 ``[B]``, indices of the steps in the dataset.
        states, next_states: s and s', flat and normalised, ``[B, D]``.
        actions: a in [-1, 1], ``[B, A]``, or int64 ``[B]`` for Discrete actions.
        rewards: r, ``[B]``.
        alive: 0 if s' is terminal, else 1, ``[B]``.
    """

    rows: Tensor
    states: Tensor
    actions: Tensor
    rewards: Tensor
    next_states: Tensor
    alive: Tensor


class TransitionAgent(OfflineAgent):
    """Base of agents whose batches are drawn uniformly from all steps.

    A subclass's :meth:`_build` sets ``Normalizer(self.observation_width)`` as ``normalizer`` of its policy.
    """

    normalizes = True  # with mean and standard deviation of the dataset's observations

    def _take(self, dataset: OfflineDataset) -> None:
        found = dataset.transitions()
        states, next_states = self._states_of(found.observations), self._states_of(found.next_observations)
        normalizer = self.policy.normalizer
        assert isinstance(normalizer, Normalizer)
        if self.normalizes and not self._of_choices:
            normalizer.fit(states.flatten(1))
        self.states, self.next_states = normalizer(states), normalizer(next_states)
        self.actions = self._from_space(found.actions)
        self.rewards = self._scaled(torch.as_tensor(found.rewards, device=self.device), dataset)
        self.alive = 1.0 - torch.as_tensor(found.terminations, device=self.device)

    def _scratch(self, optimizers: Sequence[torch.optim.Optimizer]) -> Scratch | None:
        """Memory for stacks of the networks, where they are how the setting ``update_by`` has updates made."""
        settings = self.settings
        chosen = on_stacks(
            self.catalog_name, settings.update_by, self.device, [len(settings.layers)], [nn.ReLU], optimizers, False
        )
        return Scratch() if chosen else None

    def _scaled(self, rewards: Tensor, dataset: OfflineDataset) -> Tensor:
        """The rewards that the agent learns from, ``[N]``; unchanged by default."""
        return rewards.clone()

    def _sample(self) -> Batch:
        """``batch_size`` transitions, drawn with replacement."""
        size = self.settings.batch_size
        rows = torch.randint(len(self.states), (size,), generator=self.generator, device=self.device)
        return Batch(
            rows, self.states[rows], self.actions[rows], self.rewards[rows], self.next_states[rows], self.alive[rows]
        )
