"""A room with a heater: a plain Gymnasium environment in one file, ready for agents and suites."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Room(gymnasium.Env[np.ndarray, np.ndarray]):
    """Keep a room at 20 degrees through a day of quarter hours, with little heating.

    Observation: the temperatures inside and outside, in units of 10 K from 20 degrees. Action: heating, from -1 (off)
    to 1 (full). Reward: minus the distance from 20 degrees in K, minus the heating between 0 and 1.
    """

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Box(-1, 1, (1,), np.float32)
    # The uncertainty set: what may differ from the room one trains in, lowest and highest.
    parameter_ranges = {"insulation": (0.5, 2.0), "power": (0.5, 1.5)}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Start a day. ``options={"parameters": {"insulation": 0.7}}`` sets parameters, 1 otherwise."""
        super().reset(seed=seed)
        self.parameters = {"insulation": 1.0, "power": 1.0, **(options or {}).get("parameters", {})}
        self.inside, self.outside = self.np_random.uniform(10, 25), self.np_random.uniform(-5, 10)
        return self._observed(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Heat for a quarter of an hour."""
        heating = (float(np.clip(action[0], -1, 1)) + 1) / 2
        lost = 0.3 * (self.inside - self.outside) / self.parameters["insulation"]  # K per hour
        self.inside += 0.25 * (12 * self.parameters["power"] * heating - lost)
        return self._observed(), -abs(self.inside - 20) - heating, False, False, {}

    def _observed(self) -> np.ndarray:
        return np.array([self.inside - 20, self.outside - 20], np.float32) / 10


gymnasium.register("Room-v0", f"{__name__}:Room", max_episode_steps=96)
