"""A replay buffer that also holds what the adversary did in each transition."""

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from agentgym.agents.common.replay import FastReplayBuffer

__all__ = ["GameReplayBuffer"]


class GameReplayBuffer(FastReplayBuffer):
    """Transitions (s, a, w, r, s') of a game with nature.

    Args:
        moves: width of w.
        arguments, keywords: those of Stable-Baselines3's ``ReplayBuffer``.

    Attributes:
        moves: w, float32 [size, environments, width].
    """

    def __init__(self, *arguments: Any, moves: int, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.moves = np.zeros((self.buffer_size, self.n_envs, moves), np.float32)

    def sample_game(self, batch_size: int, env: VecNormalize | None = None) -> tuple[ReplayBufferSamples, torch.Tensor]:
        """Draw as :meth:`sample`; returns the transitions and w [B, width]."""
        last = self.buffer_size if self.full else self.pos
        rows = self._rows(np.random.randint(0, last, size=batch_size))  # noqa: NPY002  as its parent
        return self._transitions(rows, env), self.to_torch(self._gather(self.moves, rows))
