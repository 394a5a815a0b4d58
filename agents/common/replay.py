"""Replay without the second copy: what fancy indexing returns is already nobody else's."""

import numpy as np
import torch
from stable_baselines3.common.buffers import ReplayBuffer

__all__ = ["FastReplayBuffer"]


class FastReplayBuffer(ReplayBuffer):
    """Stable-Baselines3's buffer: same arguments, arrays and draws."""

    def to_torch(self, array: np.ndarray, copy: bool = True) -> torch.Tensor:
        """The array as a tensor on the buffer's device, without a copy on the CPU."""
        return torch.from_numpy(array).to(self.device)
