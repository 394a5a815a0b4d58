"""The formulas of ODICE: conjugate of the divergence, policy weights, orthogonal gradient."""

from torch import Tensor

from agentgym.agents.offline.odice.config import WeightForm

__all__ = ["conjugate", "orthogonal_sum", "policy_weights"]

SMALLEST_NORM = 1e-10  # of the forward gradient, squared: f* is flat below e = -2, so it may vanish


def conjugate(residuals: Tensor) -> Tensor:
    """f*(e) = max over w >= 0 of (e w - f(w)) for Pearson's chi-squared, f(w) = (w - 1)^2.

    The maximiser is w = max(e / 2 + 1, 0).
    """
    ratios = (residuals / 2 + 1).clamp(min=0)
    return residuals * ratios - (ratios - 1).square()


def policy_weights(residuals: Tensor, form: WeightForm, max_weight: float) -> Tensor:
    """The weight of each dataset action in the policy's likelihood, in [0, max_weight].

    Args:
        residuals: e, of any shape.
        form: "chi2" is the ratio of visitations w = max(e / 2 + 1, 0), "released" the code's max(e, 0).
        max_weight: upper bound.
    """
    ratios = residuals / 2 + 1 if form == "chi2" else residuals
    return ratios.clamp(0, max_weight)


def orthogonal_sum(forward: Tensor, backward: Tensor) -> tuple[Tensor, Tensor]:
    """The forward gradient plus the component of the backward gradient orthogonal to it.

    Args:
        forward, backward: flat gradients, ``[P]``.

    Returns:
        g_f + g_b - (<g_f, g_b> / <g_f, g_f>) g_f, ``[P]``, and the cosine of the angle between g_f and g_b.
    """
    product, square = forward.dot(backward), forward.dot(forward)
    cosine = product / (square.sqrt() * backward.norm()).clamp(min=SMALLEST_NORM)
    return forward + (backward - product / square.clamp(min=SMALLEST_NORM) * forward), cosine
