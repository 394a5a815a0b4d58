"""The temperature of the bottom plate from heater commands that are bounded and add no net heat."""

import numpy as np
from torch import Tensor

from agentgym.envs.convection.solver import Solver

__all__ = ["balanced", "lagged", "profile_coefficients", "segment_means"]


def balanced(commands: Tensor) -> Tensor:
    """Convert commands [..., A] to temperatures in units of the amplitude, with mean zero and at most 1 in magnitude.

    The mean is subtracted, then all are divided by a common number, at least 1, that brings the largest to 1 (Vignon et
    al. 2023). This preserves the shape of the command and the plate's mean temperature.
    """
    centred = commands - commands.mean(-1, keepdim=True)
    return centred / centred.abs().amax(-1, keepdim=True).clamp(min=1.0)


def profile_coefficients(solver: Solver, heaters: int, joint: float) -> np.ndarray:
    """The matrix [2 K, A] from the heaters' temperatures to the Fourier coefficients of the plate's profile.

    Heater j covers [j, j + 1] length / A. Neighbours are joined by the cubic 3 s^2 - 2 s^3 over twice ``joint``. This
    profile is a series of boxes convolved with (3 / 4 joint) (1 - (x / joint)^2), so its Fourier coefficients have a
    closed form. They are truncated at the solver's last mode, and shift exactly with the heaters.

    Args:
        solver: provides wavenumbers and length.
        heaters: number of heaters, A.
        joint: half width of the joint between two heaters, in units of length.
    """
    length, k = solver.fluid.length, solver.wavenumbers
    width = length / heaters
    centres = (np.arange(heaters) + 0.5) * width
    box = np.full(len(k), 1.0 / heaters)
    box[1:] = 4.0 / (length * k[1:]) * np.sin(k[1:] * width / 2)
    blend = np.ones(len(k))
    if joint > 0:
        a = k[1:] * joint
        far = a > 1e-3  # closer to 0 the closed form is dominated by rounding errors
        blend[1:] = 1.0 - a**2 / 10
        blend[1:][far] = 3.0 * (np.sin(a[far]) - a[far] * np.cos(a[far])) / a[far] ** 3
    phase = np.outer(k, centres)
    parts = np.stack((np.cos(phase), -np.sin(phase)), axis=1)  # [K, 2, A]
    return (parts * (box * blend)[:, None, None]).reshape(2 * len(k), heaters)


def segment_means(solver: Solver, heaters: int) -> np.ndarray:
    """The matrix [A, 2 K] from a field's coefficients to its mean over each heater's segment."""
    boxes = profile_coefficients(solver, heaters, joint=0.0)
    norms = np.where(solver.wavenumbers == 0, 1.0, 0.5)  # the mean of cos^2
    return heaters * (boxes * np.repeat(norms, 2)[:, None]).T


def lagged(before: Tensor, target: Tensor, time: float, lag: float) -> Tensor:
    """Temperatures of heaters that move from ``before`` to ``target`` with time constant ``lag``, after ``time``."""
    return target + (before - target) * float(np.exp(-time / lag)) if lag > 0 else target
