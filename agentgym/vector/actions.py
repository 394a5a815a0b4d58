"""Actions of a batch, refused before any world moves where the action space does not have them."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agentgym.errors import InvalidAction

__all__ = ["SLACK", "checked_actions"]

SLACK = 1e-6  # actions may pass the bounds of a Box by this much, as rounding does


def checked_actions(actions: Any, space: spaces.Space[Any]) -> NDArray[Any]:
    """The actions as an array of the batched space's shape: float64 [N, ...] of a Box, whole numbers otherwise.

    Args:
        actions: of N worlds.
        space: of the batch, a Box, MultiDiscrete or MultiBinary.

    Raises:
        InvalidAction: another shape, no numbers, or an entry that is not finite or beyond its bounds.
    """
    given = np.asarray(actions)
    if given.shape != space.shape or given.dtype.kind not in "biuf":
        raise InvalidAction(f"Actions are numbers of shape {space.shape}, not {actions!r}.")
    if isinstance(space, spaces.Box):
        given = given.astype(np.float64)
        wrong = ~((space.low - SLACK <= given) & (given <= space.high + SLACK) & np.isfinite(given))
    else:
        low, count = (space.start, space.nvec) if isinstance(space, spaces.MultiDiscrete) else (0, 2)
        wrong = ~((low <= given) & (given < low + count) & (given == np.floor(given)))
        given = np.where(wrong, 0, given).astype(np.int64)
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        raise InvalidAction(f"actions{list(where)} is {np.asarray(actions)[where]}, which {space} does not have.")
    return given
