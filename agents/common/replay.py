"""Replay without the second copy: what fancy indexing returns is already nobody else's."""

from typing import TYPE_CHECKING

import numpy as np
import psutil
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from agentgym.errors import InvalidParameter

if TYPE_CHECKING:
    from agentgym.agents.common.off_policy import OffPolicyAgent

__all__ = ["FastReplayBuffer", "require_memory"]


def require_memory(agent: "OffPolicyAgent") -> None:
    """Refuse a replay buffer that does not fit into memory before it is made.

    Raises:
        InvalidParameter: it does not; the message says what it needs and what there is.
    """
    seen, played = agent.observations.own, agent.actions.own
    observation = max(int(np.prod(seen.shape)), 1) * seen.dtype.itemsize
    entries = 1 if agent.optimize_memory_usage else 2  # s, and s'
    row = entries * observation + 4 * (int(np.prod(played.shape)) + 3)  # action, reward, end, time limit: float32
    needed, there = agent.buffer_size * row, psutil.virtual_memory().available
    if needed > there:
        raise InvalidParameter(
            f"A replay buffer of {agent.buffer_size:,} transitions of {row:,} bytes needs {needed / 2**30:.1f} GiB, "
            f"and {there / 2**30:.1f} GiB are free. At most buffer_size={there // row} fits. Or make observations "
            "smaller, in a wrapper."
        )


class FastReplayBuffer(ReplayBuffer):
    """Stable-Baselines3's buffer: same arguments, arrays and draws."""

    def _get_samples(self, batch_inds: np.ndarray, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Gather whole rows by one flat index, ``take``, which is faster than two index arrays."""
        if self.optimize_memory_usage:
            return super()._get_samples(batch_inds, env)
        environments = np.random.randint(0, high=self.n_envs, size=len(batch_inds))  # noqa: NPY002  as its parent
        rows = batch_inds * self.n_envs + environments

        def gather(array: np.ndarray) -> np.ndarray:
            return array.reshape(-1, *array.shape[2:]).take(rows, axis=0)

        ends = gather(self.dones) * (1 - gather(self.timeouts))  # a time limit is no end of the task
        data = (
            self._normalize_obs(gather(self.observations), env),
            gather(self.actions),
            self._normalize_obs(gather(self.next_observations), env),
            ends.reshape(-1, 1),
            self._normalize_reward(gather(self.rewards).reshape(-1, 1), env),
        )
        return ReplayBufferSamples(*map(self.to_torch, data))

    def to_torch(self, array: np.ndarray, copy: bool = True) -> torch.Tensor:
        """The array as a tensor on the buffer's device, without a copy on the CPU."""
        return torch.from_numpy(array).to(self.device)
