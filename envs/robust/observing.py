"""What an agent observes of a robust task: its state, the parameters beside it, or the transition that led to it."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from gymnasium import spaces

from agentgym.envs.robust.parameters import Range
from agentgym.errors import UnknownId

__all__ = ["Observe", "Observing"]

Observe = Literal["state", "parameters", "transition"]


class Observing:
    """Extends the observations of one world. TC-RMDP (arXiv 2406.08395) trains agents with each of the three.

    Args:
        observe: "state" adds nothing; "parameters" the positions of the set's parameters between their lowest (-1) and
            highest (1) value; "transition" the previous observation and action (at the start: the same, and zeros).
        space: the task's observation space.
        actions: width of an action.
        ranges: the uncertainty set.

    Attributes:
        space: the extended observation space.

    Raises:
        UnknownId: there is no such choice.
    """

    def __init__(self, observe: Observe, space: spaces.Box, actions: int, ranges: Mapping[str, Range]) -> None:
        if observe not in get_args(Observe):
            raise UnknownId("value of observe", str(observe), get_args(Observe))
        self.observe, self.ranges, self.space = observe, ranges, space
        self._none = np.zeros(actions)
        self._previous: tuple[np.ndarray, np.ndarray] | None = None
        more = {"state": 0, "parameters": len(ranges), "transition": space.shape[0] + actions}[observe]
        if more:
            self.space = spaces.Box(-np.inf, np.inf, (space.shape[0] + more,), space.dtype)

    def begin(self) -> None:
        """Start an episode."""
        self._previous = None

    def remember(self, observation: np.ndarray, action: np.ndarray) -> None:
        """Note the observation [D] of the task before a step, and the action."""
        if self.observe == "transition":
            self._previous = np.array(observation), np.array(action, np.float64)

    def extended(self, observation: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
        """The observation [D] of the task and what is added, given the parameters' values."""
        if self.observe == "state":
            return observation
        if self.observe == "transition":
            return np.concatenate([observation, *(self._previous or (observation, self._none))])
        positions = [2 * (values[name] - low) / (high - low) - 1 for name, (low, high) in self.ranges.items()]
        return np.concatenate([observation, positions])

    def get_state(self) -> list[np.ndarray] | None:
        """The previous observation and action, or None."""
        return None if self._previous is None else list(self._previous)

    def set_state(self, state: Any) -> None:
        """Restore what :meth:`get_state` returned."""
        self._previous = None if state is None else (np.array(state[0]), np.array(state[1]))
