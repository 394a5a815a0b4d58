"""The commitment cost of a policy, its slope and its Taylor remainder in what an agent observes.

J_i(o, tau) = -log pi_i(tau | o) with tau the agent's greedy action at o, held fixed: the cross-entropy to its own
choice (Korkmaz and Brown-Cohen, arXiv:2306.05873, for one agent). For a Box policy tau is its mean.
"""

import numpy as np
import torch
from torch import Tensor

from agentgym.errors import InvalidParameter
from agentgym.evaluation.forensics.team import Team

__all__ = ["commitment", "remainder", "require_curvature", "richardson", "slope"]

NO_CURVATURE = 1e-9
ORDER = (2.0, 8.0)


def commitment(team: Team, windows: Tensor) -> Tensor:
    """tau [B, A, a] for windows float64 [B, A, F]."""
    return team.act(windows.float()).double()


def slope(team: Team, windows: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """J [B, A] and its gradient in each agent's own window, [B, A, F]."""
    asked = windows.detach().requires_grad_()
    with torch.enable_grad():
        cost = -team.log_probs(asked, tau)
        (gradient,) = torch.autograd.grad(cost.sum(), asked)
    return cost.detach(), gradient


def remainder(team: Team, windows: Tensor, tau: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
    """L = J(o + eta) - J(o) - grad J . eta and the slope grad J . eta, [K, B, A], for moves eta [K, B, A, F]."""
    cost, gradient = slope(team, windows, tau)
    along = (gradient * moves).sum(-1)
    with torch.no_grad():
        moved = torch.stack([-team.log_probs(windows + move, tau) for move in moves])
    return moved - cost - along, along


def richardson(team: Team, windows: Tensor, moves: Tensor) -> tuple[float, float]:
    """The median of L(eta) / L(eta / 2), 4 where L is of second order, and the median of abs(L) over abs(slope)."""
    tau = commitment(team, windows)
    whole, along = remainder(team, windows, tau, moves)
    half, _ = remainder(team, windows, tau, moves / 2)
    size = (whole.abs() / along.abs().clamp_min(1e-300)).numpy()
    seen = half.abs() > 1e-13  # what is below is rounding
    ratio = float(np.median((whole[seen] / half[seen]).numpy())) if bool(seen.any()) else float("nan")
    return ratio, float(np.median(size))


def require_curvature(team: Team, windows: Tensor, moves: Tensor, name: str) -> None:
    """Refuse a policy whose cost has no second order where it is probed: its remainder would be zero, or noise.

    Raises:
        InvalidParameter: the message says what was measured.
    """
    ratio, size = richardson(team, windows, moves)
    if size < NO_CURVATURE:
        raise InvalidParameter(
            f"{name} measures curvature, and the policy's cost has none: its remainder is {size:.1e} of its slope. The "
            "networks are piecewise linear (ReLU, LeakyReLU, hard tanh). Train with a smooth activation (SiLU, tanh, "
            "softplus), or use dynamics, policy_nll or combined."
        )
    if not ORDER[0] <= ratio <= ORDER[1]:
        raise InvalidParameter(
            f"{name} needs a remainder of second order, which falls to a quarter when the probe is halved; here the "
            f"ratio is {ratio:.2g}. Probes cross kinks (ReLU) or are too large or too small: change the size, or train "
            "with a smooth activation (SiLU, tanh, softplus)."
        )
