"""Ducts with a smooth wall: half-height (2-D) or radius (3-D) along x, and the nearest point of the wall.

A duct runs from x = 0 to x = length; before and behind it goes on straight. Its profile is a cubic spline with level
ends. Its distance is signed: positive inside.
"""

import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from agentgym.contracts.finite import is_finite
from agentgym.contracts.settings import finite_number, whole_number
from agentgym.envs.swarm.compiled import compiled, inner
from agentgym.errors import InvalidParameter, NonFinite

__all__ = ["Duct", "profile_at", "wall_foot"]

Array = NDArray[np.float64]


class Duct:
    """A duct given by its half-height (2-D) or radius (3-D) at points along x.

    Args:
        x: [K], increasing, from 0; the last is the duct's length.
        half: [K], the half-height or radius there, all positive.
        dimensions: 2 (between two walls) or 3 (round).
        pieces: of the spline on an even grid that the simulation reads.

    Attributes:
        length: of the duct.
        step: of the even grid.
        steepest: its largest slope.
        coefficients: float64 [pieces, 4], of the cubic of each piece, constant first.

    Raises:
        InvalidParameter: fewer than two points, x not increasing from 0, or a duct that closes.
        NonFinite: an entry is NaN or infinite.
    """

    def __init__(self, x: Any, half: Any, dimensions: int = 2, pieces: int = 512) -> None:
        x, half = np.asarray(x, np.float64), np.asarray(half, np.float64)
        if not (is_finite(x) and is_finite(half)):
            raise NonFinite("A duct's points x and half-heights must be finite.")
        if x.ndim != 1 or x.shape != half.shape or len(x) < 2 or x[0] != 0 or (np.diff(x) <= 0).any():
            raise InvalidParameter("A duct has points x [K] that increase from 0, and as many half-heights.")
        if dimensions not in (2, 3):
            raise InvalidParameter(f"A duct has 2 or 3 dimensions, not {dimensions!r}.")
        self.dimensions, self.length = dimensions, float(x[-1])
        spline = CubicSpline(x, half, bc_type="clamped")
        knots = np.linspace(0.0, self.length, whole_number("pieces", pieces, 2) + 1)
        self.step = self.length / pieces
        heights, slopes = spline(knots), spline(knots, 1)
        if (heights <= 0).any():
            where = knots[int(np.argmin(heights))]
            raise InvalidParameter(f"The duct closes: its half-height is {heights.min():.4g} at x = {where:.4g}.")
        rise = np.diff(heights) / self.step
        self.coefficients: Array = np.stack(
            (
                heights[:-1],
                slopes[:-1],
                (3 * rise - 2 * slopes[:-1] - slopes[1:]) / self.step,
                (slopes[:-1] + slopes[1:] - 2 * rise) / self.step**2,
            ),
            axis=1,
        )

        fine = np.linspace(0.0, self.length, 8 * pieces)
        self.steepest = float(np.abs(np.gradient(self.half(fine), fine)).max())

    @classmethod
    def converging_diverging(
        cls, length: float = 60.0, inlet: float = 10.0, throat: float = 6.0, dimensions: int = 2
    ) -> Self:
        """The test duct: half-height ``inlet``, narrowing to ``throat`` in the middle by a cosine, and back.

        Raises:
            InvalidParameter: a length is not a positive number.
        """
        length, inlet = finite_number("length", length, 0, above=True), finite_number("inlet", inlet, 0, above=True)
        throat = finite_number("throat", throat, -math.inf, inlet)
        x = np.linspace(0.0, length, 513)
        return cls(x, (inlet + throat) / 2 + (inlet - throat) / 2 * np.cos(2 * np.pi * x / length), dimensions)

    @classmethod
    def of(cls, profile: Callable[[Array], Array], length: float, dimensions: int = 2) -> Self:
        """The duct whose half-height is ``profile(x)``, level at both ends."""
        x = np.linspace(0.0, finite_number("length", length, 0, above=True), 257)
        return cls(x, profile(x), dimensions)

    def half(self, x: Any) -> Array:
        """Half-height or radius at x, of x's shape."""
        at = np.clip(np.asarray(x, np.float64), 0.0, self.length)
        piece = np.minimum((at / self.step).astype(np.int64), len(self.coefficients) - 1)
        rest = at - piece * self.step
        a, b, c, d = np.moveaxis(self.coefficients[piece], -1, 0)
        return a + rest * (b + rest * (c + rest * d))

    def area(self, x: Any) -> Array:
        """The cross-section at x: 2 half (2-D) or pi half^2 (3-D)."""
        half = self.half(x)
        return 2 * half if self.dimensions == 2 else np.pi * half**2

    @property
    def throat(self) -> float:
        """Where the cross-section is least."""
        x = np.linspace(0.0, self.length, 4 * len(self.coefficients) + 1)
        return float(x[np.argmin(self.half(x))])

    def distance(self, positions: Any) -> Array:
        """Signed distance [...] from the wall for positions [..., D]; negative outside."""
        positions = np.asarray(positions, np.float64)
        flat = positions.reshape(-1, positions.shape[-1])
        return _distances(flat, self.step, self.coefficients).reshape(positions.shape[:-1])


@inner
def profile_at(x: float, step: float, coefficients: Array) -> tuple[float, float, float]:
    """The half-height at x, its slope and its curvature; before and behind the duct it is level."""
    pieces = coefficients.shape[0]
    if x <= 0.0:
        return coefficients[0, 0], 0.0, 0.0
    inside = x < step * pieces
    piece = min(int(x / step), pieces - 1)
    rest = x - piece * step if inside else step
    a, b, c, d = coefficients[piece, 0], coefficients[piece, 1], coefficients[piece, 2], coefficients[piece, 3]
    height = a + rest * (b + rest * (c + rest * d))
    if not inside:
        return height, 0.0, 0.0
    return height, b + rest * (2.0 * c + 3.0 * rest * d), 2.0 * c + 6.0 * rest * d


@inner
def wall_foot(x: float, r: float, step: float, coefficients: Array) -> tuple[float, float, float]:
    """The nearest point of the wall to a point at x and distance r from the axis, by Newton's method.

    Returns:
        the signed distance (positive inside), and the inward normal's parts along x and along r.
    """
    foot = x
    height, tilt, bend = profile_at(foot, step, coefficients)
    for _ in range(12):
        residual = foot - x + (height - r) * tilt
        foot -= residual / max(1.0 + tilt * tilt + (height - r) * bend, 0.25)
        height, tilt, bend = profile_at(foot, step, coefficients)
        if abs(residual) < 1e-11:
            break
    norm = math.sqrt(1.0 + tilt * tilt)
    along, across = tilt / norm, -1.0 / norm
    return (x - foot) * along + (r - height) * across, along, across


@compiled
def _distances(positions: Array, step: float, coefficients: Array) -> Array:
    found = np.empty(positions.shape[0])
    for i in range(positions.shape[0]):
        r = 0.0
        for d in range(1, positions.shape[1]):
            r += positions[i, d] ** 2
        found[i] = wall_foot(positions[i, 0], math.sqrt(r), step, coefficients)[0]
    return found
