"""Smoothing kernels of support 2h in two and three dimensions: Wendland's C2 and the cubic spline.

W(r, h) = s(h) f(q) with q = r / h, normalised so that its integral is 1 (Monaghan, Rep. Prog. Phys. 68, 2005; Dehnen
and Aly, MNRAS 425, 2012). Wendland's resists pairing, so it is the default.
"""

import math

from agentgym.envs.swarm.compiled import inner

__all__ = ["CUBIC", "KERNELS", "WENDLAND", "scale", "shape", "slope"]

WENDLAND, CUBIC = 0, 1
KERNELS = {"wendland": WENDLAND, "cubic": CUBIC}


@inner
def scale(kernel: int, dimensions: int, h: float) -> float:
    """s(h), the factor that makes the integral 1."""
    if kernel == WENDLAND:
        return 7.0 / (4.0 * math.pi * h * h) if dimensions == 2 else 21.0 / (16.0 * math.pi * h * h * h)
    return 10.0 / (7.0 * math.pi * h * h) if dimensions == 2 else 1.0 / (math.pi * h * h * h)


@inner
def shape(kernel: int, q: float) -> float:
    """f(q), zero from q = 2 on."""
    if q >= 2.0:
        return 0.0
    if kernel == WENDLAND:
        rest = 1.0 - 0.5 * q
        return rest * rest * rest * rest * (2.0 * q + 1.0)
    if q < 1.0:
        return 1.0 - 1.5 * q * q + 0.75 * q * q * q
    rest = 2.0 - q
    return 0.25 * rest * rest * rest


@inner
def slope(kernel: int, q: float) -> float:
    """f'(q) / q, finite at 0, so that the gradient of W is s(h) / h^2 * slope * (x_i - x_j)."""
    if q >= 2.0:
        return 0.0
    if kernel == WENDLAND:
        rest = 1.0 - 0.5 * q
        return -5.0 * rest * rest * rest
    if q < 1.0:
        return -3.0 + 2.25 * q
    rest = 2.0 - q
    return -0.75 * rest * rest / q
