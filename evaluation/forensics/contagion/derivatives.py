"""First and second derivatives of a critic along what single agents did.

A *critic* here is any differentiable function of an array with a row for each agent: x [B, A, k] -> values [B, I]. For
Q_i(s, a_1, ..., a_A) x holds the actions and I = A; for a V of the state alone x holds what the agents observe and
I = 1. ``moves`` [B, A, k] is how far each agent's row is from where it would have been, d_j. All arrays that come out
have the axes [B, A, I]: entry (j, i) is what agent j does to value i.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import jacrev, jvp

from agentgym.contracts.settings import finite_number
from agentgym.errors import InvalidParameter, NonFinite, UnknownId
from agentgym.evaluation.forensics.contagion.jets import second_order

__all__ = ["MODES", "Critic", "Influence", "along", "blocks", "gradients", "influence", "require_curvature"]

Critic = Callable[[Tensor], Tensor]
Mode = Literal["exact", "differences", "first order"]
MODES = ("exact", "differences", "first order")
PROBES = (0.1, 1.0)  # steps of the differences that look for curvature which derivatives do not see
SEEN = 1e-6  # a second difference above this share of the values is no rounding error


@dataclass(frozen=True)
class Influence:
    """What the moves of single agents do to the values.

    Attributes:
        slope: dQ_i/da_j . d_j, [B, A, I].
        curvature: d_j' (d2Q_i / da_j da_j) d_j, [B, A, I]; None if only first order was asked for.
        mixed: d_j' (d2Q_i / da_j da_i) d_i, [B, A, A]: how much j changes which move is best for i. Its diagonal is
            that of ``curvature``. None unless it was asked for.
    """

    slope: Tensor
    curvature: Tensor | None
    mixed: Tensor | None = None

    @property
    def effect(self) -> Tensor:
        """The predicted change of the values, slope + curvature / 2, [B, A, I]."""
        return self.slope if self.curvature is None else self.slope + self.curvature / 2

    @property
    def strength(self) -> Tensor:
        """The weight of the edges j -> i, abs(slope) + max(0, curvature), [B, A, I]."""
        first = self.slope.abs()
        return first if self.curvature is None else first + self.curvature.clamp_min(0)


def influence(
    critic: Critic, x: Tensor, moves: Tensor, mode: Mode = "exact", step: float = 0.1, mixed: bool = False
) -> Influence:
    """Directional derivatives of first and second order.

    Args:
        critic: see above.
        x: where, [B, A, k]; float64 is worth it, second differences lose half of all digits.
        moves: d, [B, A, k].
        mode: "exact" by forward-mode automatic differentiation; "differences" by central finite differences, which see
            the curvature that the kinks of ReLU hide; "first order".
        step: of the differences, as a share of the moves.
        mixed: whether to compute the mixed derivatives too; they need a value for every agent.

    Raises:
        UnknownId: no such mode.
        InvalidParameter: shapes do not fit, ``step`` is not above 0, or ``mixed`` lacks a value for each agent.
        NonFinite: the critic's derivatives are not finite.
    """
    if mode not in MODES:
        raise UnknownId("mode of derivatives", str(mode), MODES)
    if x.dim() != 3 or moves.shape != x.shape:
        raise InvalidParameter(f"x and moves must both be [B, A, k], not {list(x.shape)} and {list(moves.shape)}.")
    x, moves = x.detach(), moves.detach().to(x.dtype)
    agents = x.shape[1]
    alone = torch.eye(agents, dtype=x.dtype, device=x.device)[:, None, :, None] * moves  # [A, B, A, k], j's move only
    values = critic(x)
    if values.dim() != 2 or len(values) != len(x) or (mixed and values.shape[1] != agents):
        wanted = f"[{len(x)}, {agents}]" if mixed else f"[{len(x)}, I]"
        raise InvalidParameter(f"The critic returned values {list(values.shape)}, not {wanted}.")
    step = finite_number("step", step, 0.0, above=True)
    slopes, curvatures = zip(*[along(critic, x, move, mode, step) for move in alone], strict=True)
    curved = None if mode == "first order" else torch.stack(curvatures, 1)
    crossed: Tensor | None = None
    if mixed and mode == "differences":
        crossed = _mixed_differences(critic, x, alone, step)
    elif mixed:
        crossed = _mixed(critic, x, alone)
    if crossed is not None and curved is not None:  # j on itself
        crossed = torch.diagonal_scatter(crossed, curved.diagonal(dim1=1, dim2=2), 0, 1, 2)
    _require_finite(crossed)
    return Influence(torch.stack(slopes, 1), curved, crossed)


def along(
    critic: Critic, x: Tensor, move: Tensor, mode: Mode = "exact", step: float = 0.1, jets: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Slope and curvature of all values [B, I] along ``move`` [B, A, k]; no curvature with "first order".

    One pass for all rows: with a row for each pair of a step and an agent that moved, it is all of :func:`influence`
    but the mixed part. The other arguments are those of :func:`influence`.

    Args:
        jets: whether the critic is made of what :mod:`~agentgym.evaluation.forensics.contagion.jets` knows, which take
            less time than nested differentiation.

    Raises:
        NonFinite: the critic's derivatives are not finite.
    """
    curvature: Tensor | None = None
    if mode == "differences":
        with torch.no_grad():
            here, ahead, behind = critic(x), critic(x + step * move), critic(x - step * move)
        slope, curvature = (ahead - behind) / (2 * step), (ahead - 2 * here + behind) / step**2
    elif mode == "exact":
        slope, curvature = second_order(critic, x, move) if jets else _twice(critic, x, move, move)[1:]
    else:
        slope = jvp(critic, (x,), (move,))[1]
    slope, curvature = slope.detach(), None if curvature is None else curvature.detach()
    _require_finite(slope, curvature)
    return slope, curvature


def _require_finite(*parts: Tensor | None) -> None:
    for part in parts:
        if part is not None and not torch.isfinite(part).all():
            raise NonFinite("The critic's derivatives are not finite here. Check its weights and its inputs.")


def _twice(critic: Critic, x: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The value, its slope along ``first``, and the change of that slope along ``second``."""

    def slope(at: Tensor) -> Any:
        return jvp(critic, (at,), (first,))

    moved: Any = jvp(slope, (x,), (second,))
    (value, along), (_, change) = moved
    return value, along, change


def _mixed(critic: Critic, x: Tensor, alone: Tensor) -> Tensor:
    agents = len(alone)
    found = x.new_zeros((len(x), agents, agents))
    for j in range(agents):
        for i in range(j, agents):
            change = _twice(critic, x, alone[i], alone[j])[2].detach()  # d_j' Q_k d_i of every k
            found[:, j, i], found[:, i, j] = change[:, i], change[:, j]
    return found


def _mixed_differences(critic: Critic, x: Tensor, alone: Tensor, step: float) -> Tensor:
    agents = len(alone)
    found = x.new_zeros((len(x), agents, agents))
    with torch.no_grad():
        for j in range(agents):
            for i in range(j + 1, agents):
                corners = [
                    a * b * critic(x + step * (a * alone[j] + b * alone[i])) for a in (1, -1) for b in (1, -1)
                ]  # fmt: skip
                change = torch.stack(corners).sum(0) / (4 * step**2)
                found[:, j, i], found[:, i, j] = change[:, i], change[:, j]
    return found


def require_curvature(critic: Critic, x: Tensor, moves: Tensor) -> None:
    """Check that derivatives see the critic's curvature.

    A critic with ReLU is piecewise linear: its second derivatives are exactly zero wherever they exist, although it
    bends. Finite differences that cross the kinks see it, and their value depends on the step.

    Raises:
        InvalidParameter: second derivatives are zero everywhere and second differences are not; the message says what
            can be had instead.
    """
    found = influence(critic, x, moves).curvature
    assert found is not None
    if bool((found != 0).any()):
        return
    scale = float(critic(x.detach()).detach().abs().max()) + 1e-300
    for step in PROBES:
        seen = influence(critic, x, moves, "differences", step).curvature
        assert seen is not None
        if float(seen.abs().max()) * step**2 > SEEN * scale:
            raise InvalidParameter(
                "This critic's second derivatives are exactly zero, but it bends: it is piecewise linear, as with "
                "ReLU. Train it with a smooth activation (silu, tanh), or use derivatives='differences' (central "
                f"finite differences with a stated step: here up to {float(seen.abs().max()):.3g} at step {step:g}) or "
                "'first order'."
            )


def gradients(critic: Critic, x: Tensor) -> Tensor:
    """dQ_i/da_j, [B, A, I, k] at x [B, A, k]."""
    found: Tensor = jacrev(lambda at: critic(at).sum(0))(x.detach())  # rows of a batch do not depend on each other
    return found.detach().permute(1, 2, 0, 3)


def blocks(critic: Critic, x: Tensor) -> Tensor:
    """The Jacobian of the agents' own gradients, d2Q_i / da_i da_j, [B, A, A, k, k]: row i, column j.

    Raises:
        InvalidParameter: there is not one value for each agent.
    """
    x = x.detach()
    agents, size = x.shape[1:]
    if (values := critic(x).shape[1]) != agents:
        raise InvalidParameter(f"The critic has {values} values for {agents} agents; it needs one for each.")
    own = torch.arange(agents, device=x.device)

    def best(at: Tensor) -> Tensor:
        found: Tensor = jacrev(lambda inner: critic(inner).sum(0))(at)  # [A, B, A, k]
        return found[own, :, own]  # dQ_i / da_i, [A, B, k]

    columns = []
    for unit in torch.eye(agents * size, dtype=x.dtype, device=x.device).unflatten(1, (agents, size)):
        columns.append(jvp(best, (x,), (unit.expand_as(x),))[1].detach())
    return torch.stack(columns, -1).unflatten(-1, (agents, size)).permute(1, 0, 3, 2, 4)  # [A, B, k, A, k] before
