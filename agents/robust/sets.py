"""Uncertainty sets: which kernels nature may choose, state by state.

A set is ``rectangular="sa"`` (nature chooses for every state and action, knowing both) or ``"s"`` (for every state,
before the action is drawn: the radius is shared by the actions, and the best policy may be randomised).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from agentgym.agents.robust import inner
from agentgym.contracts.mdp import MDP, TOLERANCE, checked_rows
from agentgym.errors import InvalidParameter, NonFinite, UnknownId

__all__ = ["KL", "L1", "TV", "Ball", "Box", "ChiSquare", "Finite", "LInfinity", "UncertaintySet", "Wasserstein"]

Floats = NDArray[np.float64]
Rectangular = Literal["sa", "s"]
Support = Literal["all", "nominal"]


@dataclass
class Rows:
    """What a set needs of the N states that are not terminal.

    Attributes:
        states: [N].
        p: [N, A, K], the nominal probabilities.
        listed: bool [N, A, K], the outcomes that nature may use.
        radius: [N, A], of s-rectangular balls [N].
        extra: of the set itself: weights [N, A, K], costs [N, A, K, K], bounds or kernels.
    """

    states: NDArray[np.int64]
    p: Floats
    listed: NDArray[np.bool_]
    radius: Floats
    extra: Any = None


class UncertaintySet(ABC):
    """Base of all sets."""

    rectangular: Rectangular = "sa"

    @abstractmethod
    def prepare(self, mdp: MDP) -> Rows:
        """Check the set against the process and cut it to the states that are not terminal.

        Raises:
            InvalidParameter: the set is empty, excludes the nominal kernel, or a radius is out of its range.
            NonFinite: a number of it is NaN or infinite.
        """

    @abstractmethod
    def minimum(self, rows: Rows, z: Floats) -> inner.Worst:
        """Nature's minima for every state and action, of outcomes worth z [N, A, K]: rows of N * A."""

    @abstractmethod
    def distance(self, mdp: MDP, kernel: Floats) -> Floats:
        """How far beyond the set a kernel [S, A, K] is, per state: at most 0 where it is inside."""


@dataclass(frozen=True)
class Ball(UncertaintySet):
    """All kernels within a distance of the nominal one.

    Attributes:
        radius: a number, or one a state [S], or (sa-rectangular) one a state and action [S, A].
        rectangular: "sa" or "s"; s-rectangular balls bound the sum of the actions' distances by the radius.
        support: "all" lets nature use every listed outcome, "nominal" only those of positive nominal probability.
    """

    radius: Any
    rectangular: Rectangular = "sa"
    support: Support = "all"
    largest: ClassVar[float] = np.inf

    def __post_init__(self) -> None:
        for name, known in (("rectangular", ("sa", "s")), ("support", ("all", "nominal"))):
            if getattr(self, name) not in known:
                raise UnknownId(f"value of {name}", str(getattr(self, name)), known)

    def prepare(self, mdp: MDP) -> Rows:
        """Cut to the states that are not terminal."""
        states, actions, _ = mdp.shape
        live = np.flatnonzero(~mdp.terminal)
        shape = (states, actions) if self.rectangular == "sa" else (states,)
        radius = _numbers("The radius", self.radius)
        if radius.ndim == 1 and self.rectangular == "sa" and radius.shape == (states,):
            radius = radius[:, None]
        if radius.ndim and radius.shape not in (shape, (states, 1)):
            raise InvalidParameter(f"The radius is a number or of shape {shape}, not {radius.shape}.")
        most = self.largest * (actions if self.rectangular == "s" else 1)
        if radius.min() < 0 or radius.max() > most:
            wrong = radius.min() if radius.min() < 0 else radius.max()
            bounds = "at least 0" if most == np.inf else f"from 0 to {most:g}"
            raise InvalidParameter(f"The radius of {type(self).__name__} is {wrong:g}; it must be {bounds}.")
        listed = (mdp.next_states >= 0) if self.support == "all" else mdp.probabilities > 0
        every = np.broadcast_to(radius, shape)
        return Rows(live, mdp.probabilities[live], listed[live], every[live].copy(), self._extra(mdp, live))

    def _extra(self, mdp: MDP, live: NDArray[np.int64]) -> Any:
        return None

    def minimum(self, rows: Rows, z: Floats) -> inner.Worst:
        """By bisection on the price of the radius; balls with a quicker way override this."""
        flat, p, _ = _flat(rows, z)
        return inner.by_dual(flat, p, rows.radius.reshape(-1), self.respond(rows, z))

    @abstractmethod
    def respond(self, rows: Rows, z: Floats) -> inner.Respond:
        """Nature's answers to prices of the radius, for N * A rows."""

    @abstractmethod
    def _distances(self, mdp: MDP, kernel: Floats) -> Floats:
        """The distance from the nominal kernel, [S, A]."""

    def distance(self, mdp: MDP, kernel: Floats) -> Floats:
        """How far beyond the ball a kernel [S, A, K] is, per state."""
        found = self._distances(mdp, kernel)
        if self.rectangular == "s":
            beyond = found.sum(1) - np.broadcast_to(_numbers("The radius", self.radius), len(found))
        else:
            radius = _numbers("The radius", self.radius)
            beyond = (found - (radius[:, None] if radius.ndim == 1 else radius)).max(1)
        if self.support == "nominal":
            beyond = np.maximum(beyond, np.where(mdp.probabilities > 0, 0.0, kernel).max((1, 2)))
        return np.where(mdp.terminal, 0.0, beyond)


@dataclass(frozen=True)
class L1(Ball):
    """sum over s' of weights[s'] |q - p| <= radius; without weights the radius is at most 2.

    Attributes:
        weights: [S], of at least 0; None for 1 everywhere.
    """

    weights: Any = None
    largest: ClassVar[float] = np.inf

    def _weights(self, mdp: MDP) -> Floats | None:
        if self.weights is None:
            return None
        weights = _numbers("The weights", self.weights)
        if weights.shape != mdp.shape[:1] or weights.min() < 0:
            raise InvalidParameter(f"Weights of L1 are {mdp.shape[0]} numbers of at least 0, one a state.")
        return weights

    def _extra(self, mdp: MDP, live: NDArray[np.int64]) -> Any:
        weights = self._weights(mdp)
        if weights is None and np.max(_numbers("The radius", self.radius)) > self._most(mdp):
            raise InvalidParameter(
                f"The radius of {type(self).__name__} is {np.max(self.radius):g}; it must be from 0 to "
                f"{self._most(mdp):g}."
            )
        return None if weights is None else weights[mdp.next_states[live]]

    def _most(self, mdp: MDP) -> float:
        return 2.0 * self._scale() * (mdp.shape[1] if self.rectangular == "s" else 1)

    def _scale(self) -> float:
        return 1.0

    def minimum(self, rows: Rows, z: Floats) -> inner.Worst:
        """By sorting; with weights by bisection."""
        if rows.extra is not None:
            return super().minimum(rows, z)
        flat, p, listed = _flat(rows, z)
        return inner.l1(flat, p, rows.radius.reshape(-1) / self._scale(), listed)

    def respond(self, rows: Rows, z: Floats) -> inner.Respond:
        """One outcome receives what others give."""
        flat, p, listed = _flat(rows, z)
        weights = np.full_like(p, self._scale()) if rows.extra is None else rows.extra.reshape(p.shape)
        return inner.weighted_l1(flat, p, listed, weights)

    def _distances(self, mdp: MDP, kernel: Floats) -> Floats:
        weights = self._weights(mdp)
        each = np.abs(kernel - mdp.probabilities)
        return (each * (self._scale() if weights is None else weights[mdp.next_states])).sum(2)


@dataclass(frozen=True)
class TV(L1):
    """Total variation: half of the L1 distance, at most 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None:
            raise InvalidParameter("TV has no weights: use L1.")

    def _scale(self) -> float:
        return 0.5


@dataclass(frozen=True)
class LInfinity(Ball):
    """max |q - p| <= radius. The s-rectangular ball of the joint maximum is the product over actions: the same set."""

    largest: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rectangular == "s":
            raise InvalidParameter('A ball of the maximum norm is a product over actions: use rectangular="sa".')

    def minimum(self, rows: Rows, z: Floats) -> inner.Worst:
        """By filling a box."""
        flat, p, listed = _flat(rows, z)
        return inner.l_infinity(flat, p, rows.radius.reshape(-1), listed)

    def respond(self, rows: Rows, z: Floats) -> inner.Respond:
        """Not needed: these balls are sa-rectangular and have a direct solution."""
        raise NotImplementedError

    def _distances(self, mdp: MDP, kernel: Floats) -> Floats:
        return np.abs(kernel - mdp.probabilities).max(2)


@dataclass(frozen=True)
class KL(Ball):
    """sum q log(q / p) <= radius; only outcomes of positive nominal probability."""

    def respond(self, rows: Rows, z: Floats) -> inner.Respond:
        """Exponential weights."""
        flat, p, _ = _flat(rows, z)
        return inner.kl(flat, p)

    def _distances(self, mdp: MDP, kernel: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(kernel > 0, kernel * np.log(kernel / mdp.probabilities), 0.0)
        return each.sum(2)


@dataclass(frozen=True)
class ChiSquare(Ball):
    """sum (q - p)^2 / p <= radius; only outcomes of positive nominal probability."""

    def respond(self, rows: Rows, z: Floats) -> inner.Respond:
        """A water level."""
        flat, p, _ = _flat(rows, z)
        return inner.chi_square(flat, p)

    def _distances(self, mdp: MDP, kernel: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            each = (kernel - mdp.probabilities) ** 2 / mdp.probabilities
        return np.where((mdp.probabilities > 0) | (kernel > 0), each, 0.0).sum(2)


@dataclass(frozen=True)
class Wasserstein(Ball):
    """The least cost of moving probability from state to state is at most the radius (order 1).

    Attributes:
        costs: [S, S], of at least 0, with 0 from a state to itself.
    """

    costs: Any = None

    def _costs(self, mdp: MDP) -> Floats:
        if self.costs is None:
            raise InvalidParameter("Wasserstein needs costs [S, S] of moving probability between states.")
        costs = _numbers("The costs", self.costs)
        if costs.shape != (mdp.shape[0],) * 2 or costs.min() < 0 or np.diagonal(costs).any():
            raise InvalidParameter(f"Costs of Wasserstein are of shape [S, S], at least 0 and 0 on the diagonal, "
                                   f"not {costs.shape} from {costs.min():g}.")  # fmt: skip
        return costs

    def _extra(self, mdp: MDP, live: NDArray[np.int64]) -> Any:
        each = mdp.next_states[live]
        return self._costs(mdp)[each[..., :, None], each[..., None, :]]

    def respond(self, rows: Rows, z: Floats) -> inner.Respond:
        """Every outcome moves to the best place for its price."""
        flat, p, listed = _flat(rows, z)
        return inner.transport(flat, p, listed, rows.extra.reshape(*p.shape, -1))

    def _distances(self, mdp: MDP, kernel: Floats) -> Floats:
        from scipy.optimize import linprog  # only where a kernel is checked

        costs, (states, actions, count) = self._costs(mdp), mdp.shape
        found = np.zeros((states, actions))
        ones = np.kron(np.eye(count), np.ones(count)), np.kron(np.ones(count), np.eye(count))
        for s, a in np.ndindex(states, actions):
            each = mdp.next_states[s, a]
            cost = np.where((each[:, None] >= 0) & (each >= 0), costs[each[:, None], each], 1e6)
            plan = linprog(cost.ravel(), A_eq=np.vstack(ones)[:-1],
                           b_eq=np.concatenate([mdp.probabilities[s, a], kernel[s, a]])[:-1])  # fmt: skip
            found[s, a] = plan.fun if plan.success else np.inf
        return found


@dataclass(frozen=True)
class Box(UncertaintySet):
    """low <= q <= high for every outcome: bounds [S, A, K], or numbers; a product over states and actions."""

    low: Any
    high: Any
    rectangular: Rectangular = field(default="sa", init=False)

    def _bounds(self, mdp: MDP) -> tuple[Floats, Floats]:
        ends = []
        for name in ("low", "high"):
            end = _numbers(f"The {name} bound", getattr(self, name))
            if end.ndim and end.shape != mdp.shape:
                raise InvalidParameter(f"Bounds of Box are numbers or of shape {mdp.shape}, not {end.shape}.")
            ends.append(np.where(mdp.next_states >= 0, np.clip(end, 0.0, 1.0), 0.0))
        return ends[0], ends[1]

    def prepare(self, mdp: MDP) -> Rows:
        """Cut to the states that are not terminal."""
        live = np.flatnonzero(~mdp.terminal)
        low, high = self._bounds(mdp)
        low, high, p = low[live], high[live], mdp.probabilities[live]
        empty = (low > high).any(2) | (low.sum(2) > 1 + TOLERANCE) | (high.sum(2) < 1 - TOLERANCE)
        outside = ((p < low - TOLERANCE) | (p > high + TOLERANCE)).any(2)
        for wrong, problem in ((empty, "is empty"), (outside, "excludes the nominal kernel")):
            if wrong.any():
                n, a = np.argwhere(wrong)[0].tolist()
                raise InvalidParameter(f"The box of state {live[n]}, action {a} {problem}: widen its bounds.")
        return Rows(live, p, high > 0, np.zeros(p.shape[:2]), (np.minimum(low, p), np.maximum(high, p)))

    def minimum(self, rows: Rows, z: Floats) -> inner.Worst:
        """By filling the cheapest outcomes first."""
        flat, _, listed = _flat(rows, z)
        low, high = (end.reshape(flat.shape) for end in rows.extra)
        q = inner.greedy_box(np.where(listed, flat, np.inf), low, high)
        value = inner.expected(q, flat)
        return inner.Worst(value, value, np.zeros_like(value), q)

    def distance(self, mdp: MDP, kernel: Floats) -> Floats:
        """The largest violation of a bound, per state."""
        low, high = self._bounds(mdp)
        return np.where(mdp.terminal, 0.0, np.maximum(low - kernel, kernel - high).max((1, 2)))


@dataclass(frozen=True)
class Finite(UncertaintySet):
    """One of some kernels, the nominal one among them.

    Attributes:
        kernels: [J, S, A, K].
        rectangular: "sa" lets nature choose one of the J for every state and action, "s" for every state.
    """

    kernels: Any
    rectangular: Rectangular = "sa"

    def _kernels(self, mdp: MDP) -> Floats:
        if isinstance(self.kernels, Sequence) and not len(self.kernels):
            raise InvalidParameter("The finite set is empty: give at least the nominal kernel.")
        kernels = _numbers("The kernels", self.kernels)
        if kernels.shape[1:] != mdp.shape or not len(kernels):
            raise InvalidParameter(
                f"A finite set has kernels [J, {', '.join(map(str, mdp.shape))}], not {kernels.shape}."
            )
        return checked_rows("A kernel", kernels, np.broadcast_to(mdp.next_states >= 0, kernels.shape))

    def prepare(self, mdp: MDP) -> Rows:
        """Cut to the states that are not terminal."""
        if self.rectangular not in ("sa", "s"):
            raise UnknownId("value of rectangular", str(self.rectangular), ("sa", "s"))
        kernels = self._kernels(mdp)
        if not (np.abs(kernels - mdp.probabilities).max((1, 2, 3)) <= TOLERANCE).any():
            raise InvalidParameter("The finite set excludes the nominal kernel: add mdp.probabilities to it.")
        live = np.flatnonzero(~mdp.terminal)
        p = mdp.probabilities[live]
        return Rows(live, p, p > 0, np.zeros(p.shape[:2]), kernels[:, live])

    def minimum(self, rows: Rows, z: Floats) -> inner.Worst:
        """The least of J expectations."""
        values = np.einsum("jnak,nak->jna", rows.extra, z)
        chosen = values.argmin(0)
        n, a = np.indices(chosen.shape)
        q, value = rows.extra[chosen, n, a], values[chosen, n, a].ravel()
        return inner.Worst(value, value, np.zeros_like(value), q.reshape(-1, q.shape[-1]))

    def distance(self, mdp: MDP, kernel: Floats) -> Floats:
        """The largest difference from the nearest mixture that is checked: the nearest of the J, per state."""
        off = np.abs(self._kernels(mdp) - kernel).max(3)  # [J, S, A]
        return np.where(mdp.terminal, 0.0, off.min(0).max(1) if self.rectangular == "sa" else off.max(2).min(0))


def _flat(rows: Rows, z: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    count = z.shape[-1]
    return z.reshape(-1, count), rows.p.reshape(-1, count), rows.listed.reshape(-1, count)


def _numbers(what: str, values: Any) -> Floats:
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidParameter(f"{what} is no number or array of numbers ({error}).") from error
    if not np.isfinite(found).all():
        raise NonFinite(f"{what} has an entry that is {found[~np.isfinite(found)][0]}; all must be finite.")
    return found
