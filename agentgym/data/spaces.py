"""Tests whether arrays belong to a space."""

from typing import Any

import numpy as np
from gymnasium import spaces

__all__ = ["LEAVES", "misfit", "outside"]

LEAVES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


def misfit(space: spaces.Space, values: np.ndarray) -> str:
    """Why an array ``[T, *space.shape]`` cannot hold T values of the space: its shape or its kind; empty if it can."""
    if not isinstance(space, LEAVES):
        return f"{space} is no space of single arrays"
    if not values.ndim or values.shape[1:] != space.shape:
        return f"each has the shape {values.shape[1:]} instead of {space.shape}"
    if values.dtype.kind not in "iufb":
        return f"they are of type {values.dtype}, which are no numbers"
    return ""


def outside(space: spaces.Space, values: np.ndarray) -> np.ndarray:
    """Which of T values ``[T, *space.shape]`` are not in the space, bool ``[T]``; a last bit of rounding is forgiven.

    Values that are not finite count where the space is bounded on both sides.
    """
    low, high = _bounds(space)
    slack = 1e-6 * np.maximum(1.0, np.abs(values)) if values.dtype.kind == "f" else 0.0
    with np.errstate(invalid="ignore"):
        inside: np.ndarray = np.asarray(values >= low - slack) & (values <= high + slack)
        inside |= np.isneginf(low) & np.isposinf(high)
    if values.dtype.kind == "f" and (space.dtype is None or space.dtype.kind != "f"):
        inside &= values == np.floor(values)
    found: np.ndarray = np.logical_not(inside.reshape(len(values), -1).all(axis=1))
    return found


def _bounds(space: spaces.Space) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest value of each entry, float64."""
    low: Any
    high: Any
    match space:
        case spaces.Box():
            low, high = space.low, space.high
        case spaces.Discrete():
            low, high = space.start, space.start + space.n - 1
        case spaces.MultiDiscrete():
            low, high = space.start, space.start + space.nvec - 1
        case _:
            low, high = np.zeros(space.shape), np.ones(space.shape)
    return np.asarray(low, np.float64), np.asarray(high, np.float64)
