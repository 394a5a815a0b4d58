"""The robust Bellman operator with bounds, and nature's best answer to a policy."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from agentgym.agents.robust import inner
from agentgym.agents.robust.sets import Ball, Finite, Rows, UncertaintySet
from agentgym.contracts.mdp import MDP

__all__ = ["Backup", "RobustBellman"]

Floats = NDArray[np.float64]
EPSILON = float(np.finfo(np.float64).eps)
STEPS = 200  # of Newton's method, which ends earlier: when nothing grows any more


class Backup(NamedTuple):
    """One application of the operator to values V.

    Attributes:
        lower: [S], at most what ``policy`` gets in one step against every kernel of the set, then V.
        upper: [S], at least what any policy gets in one step against ``kernel``, then V.
        policy: [S, A].
        kernel: [S, A, K].
        q: [S, A], the robust action values, of s-rectangular sets against ``kernel``.
    """

    lower: Floats
    upper: Floats
    policy: Floats
    kernel: Floats
    q: Floats


class RobustBellman:
    """V(s) = max over policies, min over kernels of the set, of sum d(a) q(s' | a) (r(s, a, s') + discount V(s')).

    Args:
        mdp: the nominal process.
        uncertainty: the set; None for the nominal kernel alone.

    Raises:
        InvalidParameter, NonFinite: the set does not fit the process (:meth:`UncertaintySet.prepare`).
    """

    def __init__(self, mdp: MDP, uncertainty: UncertaintySet | None) -> None:
        self.mdp, self.uncertainty = mdp, uncertainty
        live = np.flatnonzero(~mdp.terminal)
        if uncertainty is None:
            p = mdp.probabilities[live]
            self.rows = Rows(live, p, p > 0, np.zeros(p.shape[:2]))
        else:
            self.rows = uncertainty.prepare(mdp)
        self._next = mdp.next_states[live]
        self._paid = mdp.rewards[live]
        self._largest = float(np.abs(self._paid).max(initial=0.0))

    def outcomes(self, values: Floats) -> Floats:
        """What every outcome of the N states that are not terminal is worth, [N, A, K]."""
        return self._paid + self.mdp.discount * values[self._next]

    def rounding(self, values: Floats) -> float:
        """How much rounding can move a backup of these values."""
        size = self._largest + float(np.abs(values).max())
        return 4.0 * (self.mdp.shape[2] + 8) * EPSILON * size

    def backup(self, values: Floats, incumbent: Floats | None = None) -> Backup:
        """Apply the operator to values [S]; an incumbent [S, A] stays where nothing beats it by more than rounding."""
        z = self.outcomes(values)
        n, actions, _ = z.shape
        if self.uncertainty is None:
            value = (self.rows.p * z).sum(2).ravel()
            worst = inner.Worst(value, value, value, self.rows.p.reshape(n * actions, -1))
        elif self.uncertainty.rectangular == "s":
            return self._all_states(values, *self._shared(z))
        else:
            worst = self.uncertainty.minimum(self.rows, z)
        lower, upper = worst.lower.reshape(n, actions), worst.upper.reshape(n, actions)
        best = lower.argmax(1)
        if incumbent is not None:
            held = incumbent[self.rows.states].argmax(1)
            rows = np.arange(n)
            best = np.where(lower[rows, held] >= lower[rows, best] - self.rounding(values), held, best)
        policy = np.eye(actions)[best]
        return self._all_states(
            values, lower[np.arange(n), best], upper.max(1), policy, worst.q.reshape(z.shape), lower
        )

    def _all_states(
        self, values: Floats, lower: Floats, upper: Floats, policy: Floats, kernel: Floats, q: Floats
    ) -> Backup:
        states, actions, _ = self.mdp.shape
        live = self.rows.states
        after = self.mdp.discount * np.where(self.mdp.terminal, values, 0.0)
        ends = after.copy(), after.copy()
        ends[0][live], ends[1][live] = lower, upper
        everywhere = np.full((states, actions), 1.0 / actions)
        everywhere[live] = policy
        full = self.mdp.probabilities.copy()
        full[live] = kernel
        values_of_actions = np.repeat(after[:, None], actions, 1)
        values_of_actions[live] = q
        return Backup(*ends, everywhere, full, values_of_actions)

    def _shared(self, z: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """The max-min of s-rectangular sets: lower, upper [N], policy [N, A], kernel [N, A, K], q [N, A]."""
        if isinstance(self.uncertainty, Finite):
            return _matrix_games(self.rows.extra, z)
        assert isinstance(self.uncertainty, Ball)
        return _budget(self.rows, z, self.uncertainty)

    def answer(self, policy: Floats, values: Floats) -> Floats:
        """Nature's kernel [S, A, K] that is worst for a policy [S, A] in one step, then V = ``values``."""
        z, rows = self.outcomes(values), self.rows
        full = self.mdp.probabilities.copy()
        weight = policy[rows.states]
        if self.uncertainty is None:
            return full
        if self.uncertainty.rectangular == "sa":
            full[rows.states] = self.uncertainty.minimum(rows, z).q.reshape(z.shape)
        elif isinstance(self.uncertainty, Finite):
            sums = np.einsum("na,jnak,nak->jn", weight, rows.extra, z)
            full[rows.states] = rows.extra[sums.argmin(0), np.arange(len(z))]
        else:
            assert isinstance(self.uncertainty, Ball)
            full[rows.states] = _answer_within_budget(rows, z, weight, self.uncertainty)
        return full


def _answer_within_budget(rows: Rows, z: Floats, weight: Floats, ball: Ball) -> Floats:
    """The worst kernel of an s-rectangular ball for a policy: actions share the radius at one price."""
    n, actions, count = z.shape
    respond = ball.respond(rows, z)
    played = weight > 1e-12

    def joint(price: Floats) -> tuple[Floats, Floats]:
        each = np.where(played, price[:, None] / np.where(played, weight, 1.0), 1.0)
        q, distance = respond(each.ravel())
        q = np.where(played[:, :, None], q.reshape(z.shape), rows.p)
        return q.reshape(n, -1), np.where(played, distance.reshape(n, actions), 0.0).sum(1)

    weighted = (weight[:, :, None] * z).reshape(n, -1)
    return inner.by_dual(weighted, rows.p.reshape(n, -1), rows.radius, joint).q.reshape(n, actions, count)


def _budget(rows: Rows, z: Floats, ball: Ball) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """The max-min of balls whose radius the actions share (Ho, Petrik and Wiesemann 2018, section 4).

    The value is the least u for which pressing every action down to u costs at most the radius. The cost is convex in
    u, so Newton's method from below is monotone. The policy is inverse to the prices of the actions.
    """
    n, actions, count = z.shape
    respond = ball.respond(rows, z)
    flat, p = z.reshape(-1, count), rows.p.reshape(-1, count)
    whole = Rows(rows.states, rows.p, rows.listed, np.repeat(rows.radius[:, None], actions, 1), rows.extra)
    alone = ball.minimum(whole, z)  # all of the radius against one action
    floor = alone.lower.reshape(n, actions)
    nominal = inner.expected(p, flat).reshape(n, actions)
    u = floor.max(1)
    for _ in range(STEPS):
        cost, price, q, line = _press(flat, p, np.repeat(u, actions), respond)
        cost, price = cost.reshape(n, actions), price.reshape(n, actions)
        active = (nominal > u[:, None]) & (cost > 0)
        inverse = np.where(active, 1.0 / np.where(price > 0, price, np.inf), 0.0).sum(1)
        excess = cost.sum(1) - rows.radius
        step = np.where((excess > 0) & (inverse > 0), excess / np.where(inverse > 0, inverse, 1.0), 0.0)
        grown = np.minimum(u + step, nominal.max(1))
        if (grown <= u).all():
            break
        u = grown
    one = floor.argmax(1)
    priced = active & (price > 0)
    weight = np.where(priced, 1.0 / np.where(priced, price, 1.0), 0.0)
    total = weight.sum(1)
    mixed = np.where(total[:, None] > 0, weight / np.where(total > 0, total, 1.0)[:, None], np.eye(actions)[one])
    # What the mixed policy is sure of, by duality with one price for all actions; a single action may be surer.
    sure = (mixed * line.reshape(n, actions)).sum(1) - np.where(
        total > 0, rows.radius / np.where(total > 0, total, 1), 0
    )
    sure = np.where(total > 0, sure, -np.inf)
    pure = floor.max(1)
    best_nominal = nominal.argmax(1)
    policy = np.where((sure > pure)[:, None], mixed, np.eye(actions)[np.where(rows.radius > 0, one, best_nominal)])
    lower = np.maximum(sure, np.where(rows.radius > 0, pure, nominal.max(1)))
    share = np.minimum(1.0, rows.radius / np.maximum(cost.sum(1), 1e-300))[:, None, None]
    kernel = rows.p + share * (q.reshape(z.shape) - rows.p)
    values = (kernel * np.where(kernel > 0, z, 0.0)).sum(2)
    upper = values.max(1)
    return np.minimum(lower, upper), upper, policy, kernel, values


def _press(z: Floats, p: Floats, u: Floats, respond: inner.Respond) -> tuple[Floats, Floats, Floats, Floats]:
    """The least distance at which every row's expected value is at most u [B]; its price, q, and the dual line."""
    nominal = inner.expected(p, z)
    idle = nominal <= u
    low = np.zeros_like(u)
    high = np.full_like(u, np.inf)
    price = np.maximum(np.ptp(np.where(p > 0, z, z.min(1, keepdims=True)), axis=1), 1e-300)
    q_low, d_low = respond(low)
    v_low = inner.expected(q_low, z)
    q_high, d_high, v_high = p, np.zeros_like(u), nominal
    for _ in range(inner.HALVINGS):
        q, d = respond(price)
        value = inner.expected(q, z)
        down = (value <= u) & ~idle
        up = (value > u) & ~idle
        low, high = np.where(down, price, low), np.where(up, price, high)
        q_low, q_high = np.where(down[:, None], q, q_low), np.where(up[:, None], q, q_high)
        d_low, d_high = np.where(down, d, d_low), np.where(up, d, d_high)
        v_low, v_high = np.where(down, value, v_low), np.where(up, value, v_high)
        middle = np.where(np.isinf(high), np.minimum(4.0 * price, 1e300), 0.5 * (low + high))
        if (idle | (middle == low) | (middle == high)).all():
            break
        price = middle
    gap = np.where(v_high > v_low, v_high - v_low, 1.0)
    share = np.clip((v_high - u) / gap, 0.0, 1.0)
    q = (1.0 - share)[:, None] * q_high + share[:, None] * q_low
    cost = np.where(idle, 0.0, (1.0 - share) * d_high + share * d_low)
    at = np.where(np.isinf(high), low, high)
    line = np.where(np.isinf(high), v_low + low * d_low, v_high + at * d_high) - inner.ROUNDING * at
    return cost, np.where(idle, 0.0, at), np.where(idle[:, None], p, q), np.where(idle, nominal, line)


def _matrix_games(kernels: Floats, z: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """The max-min over finite sets that nature chooses from by state: a linear program each (HiGHS).

    Nature's optimal mixture of kernels is a kernel of the convex hull, whose robust value is the same.
    """
    payoffs = np.einsum("jnak,nak->nja", kernels, z)
    n, j, actions = payoffs.shape
    policy, mixture = np.zeros((n, actions)), np.zeros((n, j))
    for state in range(n):
        game = payoffs[state] - payoffs[state].min()
        scale = max(float(game.max()), 1e-300)
        program = linprog(
            np.append(np.zeros(actions), -1.0), A_ub=np.hstack([-game / scale, np.ones((j, 1))]), b_ub=np.zeros(j),
            A_eq=np.append(np.ones(actions), 0.0)[None], b_eq=[1.0], bounds=[(0, None)] * actions + [(None, None)],
        )  # fmt: skip
        policy[state] = np.maximum(program.x[:-1], 0.0)
        mixture[state] = np.maximum(-program.ineqlin.marginals, 0.0)
    policy /= policy.sum(1, keepdims=True)
    mixture /= mixture.sum(1, keepdims=True)
    kernel = np.einsum("nj,jnak->nak", mixture, kernels)
    values = (kernel * z).sum(2)
    lower = np.einsum("nja,na->nj", payoffs, policy).min(1)
    return lower, values.max(1), policy, kernel, values
