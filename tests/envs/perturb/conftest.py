"""A small stochastic world with any spaces, whose own noise would betray a perturbation that draws from it."""

import zlib
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv


class World(gymnasium.Env):
    """Random walk pushed by the action; ends at random, on average after 12 steps, or at step 20."""

    def __init__(self, observation_space: spaces.Space | None = None, action_space: spaces.Space | None = None) -> None:
        self.observation_space = observation_space or spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = action_space or spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.received: list[Any] = []
        self.steps = 0

    def _observe(self) -> Any:
        if self.observation_space == spaces.Box(-np.inf, np.inf, (3,), np.float32):
            return self.state.astype(np.float32)
        # Spaces draw from their own generator: seed it from the state, so that it is a function of the dynamics.
        self.observation_space.seed(zlib.crc32(self.state.tobytes()))
        return self.observation_space.sample()

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.steps = 0
        self.state = self.np_random.normal(size=3)
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        self.received.append(action)
        self.steps += 1
        push = float(np.sum(np.asarray(action, dtype=float))) if not isinstance(action, dict | tuple) else 0.0
        self.state = 0.9 * self.state + 0.1 * push + 0.1 * self.np_random.normal(size=3)
        reward = float(self.state.sum() + self.np_random.normal())
        return self._observe(), reward, bool(self.np_random.random() < 1 / 12), self.steps >= 20, {"steps": self.steps}


@pytest.fixture(scope="session")
def world() -> Callable[..., World]:
    return World


@pytest.fixture(scope="session")
def batch() -> Callable[..., SyncVectorEnv]:
    def make(count: int, autoreset_mode: str = "NextStep", **spaces_: Any) -> SyncVectorEnv:
        return SyncVectorEnv([lambda: World(**spaces_)] * count, autoreset_mode=autoreset_mode)

    return make
