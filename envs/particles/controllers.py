"""Controllers made by hand, in Stable-Baselines3's shape: anchors for what a team can reach."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["Controller", "SpreadController", "Still", "spread_controllers"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Controller:
    """Answers joint observations [A, F] or [B, A, F].

    Args:
        observation_space, action_space: the environment's joint spaces.
    """

    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]

    @property
    def continuous(self) -> bool:
        """Whether actions are a Box."""
        return isinstance(self.action_space, spaces.Box)

    def act(self, seen: Floats) -> NDArray[Any]:
        """Actions [B, A, ...] for observations [B, A, F]."""
        raise NotImplementedError

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[NDArray[Any], None]:
        """Actions, as in Stable-Baselines3."""
        seen = np.asarray(observation, np.float64)
        single = seen.ndim == 2
        actions = self.act(seen[None] if single else seen)
        return (actions[0] if single else actions), None


@dataclass(frozen=True, eq=False)
class SpreadController(Controller):
    """Simple Spread: each agent heads for its landmark in the assignment of least summed distance.

    The assignment (Hungarian algorithm) is solved anew in every step. The command is proportional to the landmark's
    offset, less damping; discrete agents push along its larger component.

    Args:
        gain: force per offset.
        damping: force per velocity.
        idle: discrete agents do nothing below this command.
    """

    gain: float = 20.0
    damping: float = 4.0
    idle: float = 0.4

    def act(self, seen: Floats) -> NDArray[Any]:
        """See :class:`Controller`."""
        agents = seen.shape[1]
        offsets = seen[..., 4 : 4 + 2 * agents].reshape(len(seen), agents, agents, 2)  # [B, A, landmarks, 2]
        distances = np.linalg.norm(offsets, axis=-1)
        chosen = np.stack([linear_sum_assignment(each)[1] for each in distances])
        goal = np.take_along_axis(offsets, chosen[..., None, None], axis=2)[:, :, 0]
        command = self.gain * goal - self.damping * seen[..., :2]
        if self.continuous:
            push = np.clip(command / 5.0, -1.0, 1.0)
            moves = np.zeros((*seen.shape[:2], 5), np.float32)
            moves[..., 2::2], moves[..., 1::2] = np.maximum(push, 0.0), np.maximum(-push, 0.0)
            return moves
        axis = np.abs(command).argmax(axis=-1)
        along = np.take_along_axis(command, axis[..., None], axis=-1)[..., 0]
        return np.where(np.abs(along) < self.idle, 0, 1 + 2 * axis + (along > 0)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Still(Controller):
    """Discrete agents do nothing; Box agents push with nothing."""

    def act(self, seen: Floats) -> NDArray[Any]:
        """See :class:`Controller`."""
        shape = seen.shape[:2]
        return np.zeros((*shape, 5), np.float32) if self.continuous else np.zeros(shape, np.int64)


def spread_controllers(seen: spaces.Space[Any], acted: spaces.Space[Any]) -> dict[str, Controller]:
    """The controllers of Simple Spread by name, for its joint spaces."""
    damping = (
        6.0 if isinstance(acted, spaces.Box) else 4.0
    )  # the best of a grid of gains and dampings, 300 episodes each
    return {"assignment": SpreadController(seen, acted, damping=damping), "still": Still(seen, acted)}
