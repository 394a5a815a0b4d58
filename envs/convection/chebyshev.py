"""Chebyshev collocation between two plates: points, derivatives, quadrature, interpolation (float64, NumPy)."""

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

__all__ = ["ClampedBasis", "Collocation"]

Array = NDArray[np.float64]


class Collocation:
    """Gauss-Lobatto points from the bottom plate (index 0) to the top plate of a layer.

    Args:
        points: number of points including the plates, Z.
        height: distance between the plates; z runs from -height / 2 to height / 2.

    Attributes:
        z: [Z].
        to_coefficients: [Z, Z], maps values to Chebyshev coefficients.
        weights: [Z], weights of Clenshaw-Curtis quadrature over the height.
    """

    def __init__(self, points: int, height: float) -> None:
        self.reference = -np.cos(np.pi * np.arange(points) / (points - 1))
        self.height = height
        self.z = self.reference * height / 2
        self.to_coefficients = np.linalg.inv(chebyshev.chebvander(self.reference, points - 1))
        antiderivative = chebyshev.chebint(self.to_coefficients)
        ends = np.asarray(chebyshev.chebval(np.array([-1.0, 1.0]), antiderivative))  # [Z, 2]
        self.weights = (ends[:, 1] - ends[:, 0]) * height / 2

    def derivative(self, order: int) -> Array:
        """The matrix [Z, Z] that maps values to values of the derivative."""
        found = chebyshev.chebder(self.to_coefficients, order)
        return np.asarray(chebyshev.chebval(self.reference, found).T * (2 / self.height) ** order, np.float64)

    def interpolation(self, z: Array) -> Array:
        """The matrix [N, Z] that maps values to those of the interpolating polynomial at heights ``z`` [N]."""
        return np.asarray(chebyshev.chebval(2 * z / self.height, self.to_coefficients).T, np.float64)


class ClampedBasis:
    """Polynomials (1 - s^2)^2 T_j(s), which vanish on both plates together with their first derivatives.

    Args:
        collocation: Z points; there are Z - 2 polynomials, as many as interior points.
    """

    def __init__(self, collocation: Collocation) -> None:
        self.collocation = collocation
        count = len(collocation.z) - 2
        bubble = np.array([3.0, 0.0, -4.0, 0.0, 1.0]) / 8  # (1 - s^2)^2 in Chebyshev polynomials
        self._coefficients = np.zeros((count + 4, count))
        for j in range(count):
            product = chebyshev.chebmul(bubble, np.eye(1, j + 1, j)[0])
            self._coefficients[: len(product), j] = product

    def derivative(self, order: int) -> Array:
        """Values [Z, Z - 2] of the polynomials' derivatives at the collocation points."""
        found = chebyshev.chebder(self._coefficients, order) if order else self._coefficients
        values = chebyshev.chebval(self.collocation.reference, found).T
        return np.asarray(values * (2 / self.collocation.height) ** order, np.float64)
