"""Validation of a batch's actions before any sub-environment is stepped."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agentgym.errors import InvalidAction

__all__ = ["SLACK", "checked_actions"]

SLACK = 1e-6  # tolerance for rounding at the bounds of a Box


def checked_actions(actions: Any, space: spaces.Space[Any]) -> NDArray[Any]:
    """Convert actions to an array of the batched space's shape: float64 [N, ...] for a Box of floats, otherwise int64.

    Args:
        actions: actions of N sub-environments.
        space: action space of the batch, a Box, MultiDiscrete or MultiBinary. Gymnasium batches a MultiDiscrete as a
            Box of integers, so the entries of such a Box must be whole.

    Raises:
        InvalidAction: the shape is wrong, the entries are not numbers, or an entry is not finite or out of bounds.
    """
    given = np.asarray(actions)
    if given.shape != space.shape or given.dtype.kind not in "biuf":
        raise InvalidAction(f"Actions must be numbers of shape {space.shape}, not {actions!r}.")
    if isinstance(space, spaces.Box):
        given = given.astype(np.float64)
        wrong = ~((space.low - SLACK <= given) & (given <= space.high + SLACK) & np.isfinite(given))
        if space.dtype.kind in "iu":
            wrong |= given != np.floor(given)
            given = np.where(wrong, 0, given).astype(np.int64)
    else:
        low, count = (space.start, space.nvec) if isinstance(space, spaces.MultiDiscrete) else (0, 2)
        wrong = ~((low <= given) & (given < low + count) & (given == np.floor(given)))
        given = np.where(wrong, 0, given).astype(np.int64)
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        raise InvalidAction(f"actions{list(where)} is {np.asarray(actions)[where]}, which is not in {space}.")
    return given
