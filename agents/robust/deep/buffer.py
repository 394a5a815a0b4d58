"""A replay buffer in which each model of the loop starts anew."""

from typing import Any

import numpy as np
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from agentgym.agents.common.replay import FastReplayBuffer

__all__ = ["PhaseReplayBuffer"]


class PhaseReplayBuffer(FastReplayBuffer):
    """Draws from the transitions of the present model only.

    Attributes:
        stored: how many rows were ever added.
        first: how many of them belong to earlier models.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.stored = self.first = 0

    @property
    def available(self) -> int:
        """Rows of the present model that are still there."""
        return min(self.stored - self.first, self.buffer_size)

    def add(self, *arguments: Any, **keywords: Any) -> None:
        """Add a row, one transition of every environment."""
        super().add(*arguments, **keywords)
        self.stored += 1

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Draw transitions of the present model uniformly."""
        back = np.random.randint(0, self.available, size=batch_size)  # noqa: NPY002  as its parent
        return self._get_samples((self.pos - 1 - back) % self.buffer_size, env)
