"""Windows of episodes, cut from contiguous arrays by index arithmetic."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agentgym.data.dataset import OfflineDataset

__all__ = ["Sequences", "Window"]


class Window(NamedTuple):
    """B sequences of at most L steps, each from one episode. Shorter ones are padded with zeros on the left.

    Attributes:
        mask: bool ``[B, L]``, False for padding.
        times: int64 ``[B, L]``, the index of the step in its episode.
        observations, next_observations: before and after the step, ``[B, L, *observation]``.
        actions: ``[B, L, *action]``.
        rewards: ``[B, L]``.
        returns_to_go: sum of the rewards from the step to the episode's end, ``[B, L]``.
    """

    mask: Tensor
    times: Tensor
    observations: Tensor
    next_observations: Tensor
    actions: Tensor
    rewards: Tensor
    returns_to_go: Tensor


class Sequences:
    """A dataset's steps on the device, from which windows are cut.

    Args:
        dataset: gives the bounds of episodes and the rewards.
        observations: encoded for the agent, ``[N + E, ...]``.
        actions: encoded for the agent, ``[N, ...]``.
    """

    def __init__(self, dataset: OfflineDataset, observations: Tensor, actions: Tensor) -> None:
        self.device = observations.device
        self.observations, self.actions = observations, actions
        self.rewards = torch.as_tensor(np.array(dataset.rewards), device=self.device)
        self.returns_to_go = torch.as_tensor(dataset.returns_to_go(), device=self.device)
        self.starts = torch.as_tensor(np.array(dataset.starts, np.int64), device=self.device)
        self._begins = self.starts[:-1].contiguous()

    def __len__(self) -> int:
        return len(self.rewards)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw steps uniformly, int64 ``[count]``; longer episodes are therefore drawn more often."""
        return torch.randint(len(self), (count,), generator=generator, device=self.device)

    def ending_at(self, steps: Tensor, length: int) -> Window:
        """Windows whose last step is ``steps``, int64 ``[B]``."""
        episodes = self._episodes(steps)
        return self._cut(episodes, torch.maximum(self.starts[episodes], steps - length + 1), steps, length)

    def beginning_at(self, steps: Tensor, length: int) -> Window:
        """Windows whose first step is ``steps``, int64 ``[B]``."""
        episodes = self._episodes(steps)
        return self._cut(episodes, steps, torch.minimum(self.starts[episodes + 1] - 1, steps + length - 1), length)

    def _episodes(self, steps: Tensor) -> Tensor:
        return torch.bucketize(steps, self._begins, right=True) - 1

    def _cut(self, episodes: Tensor, first: Tensor, last: Tensor, length: int) -> Window:
        """Cut the steps from ``first`` to ``last`` inclusive out of ``episodes``; all int64 ``[B]``."""
        steps = last[:, None] + torch.arange(1 - length, 1, device=self.device)
        mask = steps >= first[:, None]
        steps = torch.where(mask, steps, last[:, None])
        rows = steps + episodes[:, None]  # an episode has one more observation than steps

        def padded(values: Tensor) -> Tensor:
            return values.masked_fill(~mask.view(*mask.shape, *[1] * (values.dim() - 2)), 0)

        return Window(
            mask,
            padded(steps - self.starts[episodes][:, None]),
            padded(self.observations[rows]),
            padded(self.observations[rows + 1]),
            padded(self.actions[steps]),
            padded(self.rewards[steps]),
            padded(self.returns_to_go[steps]),
        )
