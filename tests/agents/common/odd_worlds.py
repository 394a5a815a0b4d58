"""Environments that are legal and unusual, or broken in one way."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

SEEN = spaces.Box(-1, 1, (3,))


class Odd(gymnasium.Env):
    """Any spaces; keeps what was played, and refuses what is not in the space. Episodes of 10 steps.

    Args:
        action_space, observation_space: any.
        fault: step and what happens then, by name: an observation ("observation") or reward ("reward") of NaN.
    """

    def __init__(self, action_space: Any, observation_space: Any = SEEN, fault: tuple[str, int] = ("", -1)) -> None:
        self.action_space, self.observation_space = action_space, observation_space
        self.fault, self.total, self.played = fault, 0, []

    def _see(self) -> Any:
        self.seen = self.observation_space.sample()
        if self.fault == ("observation", self.total):
            self.seen[1] = np.nan
        return self.seen

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.time = 0
        return self._see(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        assert self.action_space.contains(action), (action, self.action_space)
        self.played.append(action)
        self.total, self.time = self.total + 1, self.time + 1
        reward = np.nan if self.fault == ("reward", self.total) else 1.0
        return self._see(), reward, False, self.time >= 10, {}


class Reusing(gymnasium.Env):
    """A walk that writes into one observation and one info for all its life, or into new ones (``fresh``)."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,))
    action_space = spaces.Box(-1, 1, (1,))

    def __init__(self, fresh: bool) -> None:
        self.fresh, self.array, self.info = fresh, np.zeros(2, np.float32), {}

    def _give(self, info: dict) -> tuple[np.ndarray, dict]:
        if self.fresh:
            return self.array.copy(), info
        self.info.clear()
        self.info.update(info)
        return self.array, self.info

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.time = 0
        self.array[:] = self.np_random.normal(size=2)
        return self._give({})

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.time += 1
        self.array += 0.1 + action
        observation, info = self._give({"where": self.array if not self.fresh else self.array.copy()})
        return observation, -float(abs(self.array).sum()), False, self.time >= 7, info


class ReusingBatch(VectorEnv):
    """Three walks side by side that write into the same arrays in every step and reset, or into new ones."""

    def __init__(self, fresh: bool, autoreset_mode: AutoresetMode = AutoresetMode.DISABLED) -> None:
        self.fresh, self.num_envs = fresh, 3
        self.metadata = {"autoreset_mode": autoreset_mode}
        self.single_observation_space, self.single_action_space = Reusing.observation_space, Reusing.action_space
        self.observation_space = batch_space(self.single_observation_space, 3)
        self.action_space = batch_space(self.single_action_space, 3)
        self.arrays = [np.zeros((3, 2), np.float32), np.zeros(3, np.float32), np.zeros(3, bool), np.zeros(3, bool)]

    def _own(self, array: np.ndarray) -> np.ndarray:
        return array.copy() if self.fresh else array

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.time = 0
        for array in self.arrays:
            array[:] = 0
        self.arrays[0][:] = self.np_random.normal(size=(3, 2))
        return self._own(self.arrays[0]), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        observations, rewards, _, truncated = self.arrays
        self.time += 1
        observations += 0.1 + actions
        rewards[:] = -abs(observations).sum(1)
        truncated[:] = self.time >= 7
        told = [self._own(array) for array in self.arrays]
        return (*told, {"where": self._own(observations)})
