"""Pictures of particle worlds: discs on white."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["paint", "pixels"]

SIZE = 320  # pixels
HALF = 1.5  # world units from the middle to the edge

_AXIS = (np.arange(SIZE) + 0.5) / SIZE * 2 * HALF - HALF
_X, _Y = _AXIS[None, :], -_AXIS[:, None]


def paint(*groups: tuple[NDArray[np.float64], float, tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Paint groups of discs, the later over the earlier; discs that leave the picture stay at its edge.

    Args:
        groups: centres [K, 2], radius and colour.

    Returns:
        uint8 [SIZE, SIZE, 3].
    """
    picture = np.full((SIZE, SIZE, 3), 255, np.uint8)
    for centres, radius, colour in groups:
        for x, y in np.clip(centres, -HALF, HALF):
            square = (_X - x) ** 2 + (_Y - y) ** 2
            picture[square <= radius**2] = colour
            picture[(square <= radius**2) & (square >= (radius - 0.015) ** 2)] = (0, 0, 0)
    return picture


def pixels(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where centres [K, 2] are in the picture: column and row, [K, 2]."""
    inside = np.clip(centres, -HALF, HALF)
    found: NDArray[np.float64] = (inside * [1, -1] + HALF) / (2 * HALF) * SIZE
    return found
