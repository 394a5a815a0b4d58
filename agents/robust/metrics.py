"""Measures: how an optimum reacts to rewards, what a policy lacks to a certificate, gains of disturbances.

Policy cliffs: Xu, *The Policy Cliff* (arXiv 2507.20150). Gains: Basar and Bernhard, *H-infinity Optimal Control and
Related Minimax Design Problems* (1995).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.agents.robust.sets import UncertaintySet
from agentgym.agents.robust.solution import Solution
from agentgym.agents.robust.solvers import RobustPolicyIteration
from agentgym.contracts.mdp import MDP
from agentgym.contracts.settings import finite_number
from agentgym.errors import InvalidParameter

__all__ = ["LinearGame", "action_gap", "cliff_score", "disturbance_gain", "regret_to_certificate", "soft_policy"]

Floats = NDArray[np.float64]


def action_gap(q: Any) -> Floats:
    """By how much the best action of each state is better than the next one, [S]; 0 at ties, where policies jump.

    Args:
        q: values of actions [S, A], A at least 2.
    """
    q = np.asarray(q, np.float64)
    if q.ndim != 2 or q.shape[1] < 2:
        raise InvalidParameter(f"Values of actions are [S, A] with at least 2 actions, not {q.shape}.")
    best = np.partition(q, -2, axis=1)
    gap: Floats = best[:, -1] - best[:, -2]
    return gap


def soft_policy(mdp: MDP, temperature: float, tolerance: float = 1e-10) -> tuple[Floats, Floats]:
    """The policy [S, A] that maximises return plus ``temperature`` times entropy, and its soft values [S].

    Args:
        mdp: with a discount below 1.
        temperature: alpha, above 0.
        tolerance: the largest error of a value.
    """
    alpha = finite_number("The temperature", temperature, 0.0, above=True)
    if mdp.discount >= 1.0:
        raise InvalidParameter("The discount is 1, so soft values may not exist: use a discount below 1.")
    expected = (mdp.probabilities * mdp.rewards).sum(2)
    values, live = np.zeros(mdp.shape[0]), ~mdp.terminal
    while True:
        q = expected + mdp.discount * (mdp.probabilities * values[mdp.next_states]).sum(2)
        top = q.max(1)
        following = np.where(live, top + alpha * np.log(np.exp((q - top[:, None]) / alpha).sum(1)), 0.0)
        change, values = np.abs(following - values).max(), following
        if change * mdp.discount <= tolerance * (1 - mdp.discount):
            weights = np.exp((q - top[:, None]) / alpha)
            return weights / weights.sum(1, keepdims=True), values


def cliff_score(mdp: MDP, other: MDP, temperature: float = 0.0) -> float:
    """How far the optimal policy moves per change of reward: max over s of TV(pi, pi') / max |r - r'|.

    At ties it is unbounded as the change goes to 0. With a temperature the policies are the entropy-regularised ones,
    and the score is at most 1 / (2 temperature (1 - discount)).

    Args:
        mdp, other: processes that differ in their rewards only.
        temperature: 0 for the greedy policies, which choose the first of equally good actions.
    """
    if mdp.shape != other.shape or not np.array_equal(mdp.probabilities, other.probabilities):
        raise InvalidParameter("The two processes must differ in their rewards only.")
    change = float(np.abs(mdp.rewards - other.rewards).max())
    if change == 0.0:
        raise InvalidParameter("The rewards are the same: a score per change of reward has no value.")
    policies = [
        soft_policy(each, temperature)[0] if temperature else RobustPolicyIteration(each).solve().policy
        for each in (mdp, other)
    ]
    return float(0.5 * np.abs(policies[0] - policies[1]).sum(1).max() / change)


def regret_to_certificate(
    mdp: MDP, uncertainty: UncertaintySet, policy: Any, solution: Solution | None = None, tolerance: float = 1e-6
) -> tuple[float, float]:
    """What a policy lacks to the robust optimum from the start, between proved bounds.

    Args:
        mdp: the nominal process.
        uncertainty: the set of kernels, sa-rectangular.
        policy: [S, A] with one action a state, or its actions [S].
        solution: the certificate, if it is known.
        tolerance: the largest error of a value.

    Returns:
        The least and the greatest value that the regret can have.
    """
    table = np.asarray(policy)
    actions = table.argmax(1) if table.ndim == 2 else table.astype(int)
    if table.ndim == 2 and not ((table == 0) | (table == 1)).all():
        raise InvalidParameter("The regret is of policies that choose one action a state; this one is randomised.")
    if len(actions) != mdp.shape[0] or actions.min() < 0 or actions.max() >= mdp.shape[1]:
        raise InvalidParameter(f"A policy has one of {mdp.shape[1]} actions for each of {mdp.shape[0]} states.")
    best = solution or RobustPolicyIteration(mdp, uncertainty, tolerance=tolerance).solve()
    rows = np.arange(len(actions))[:, None], actions[:, None]
    alone = MDP(
        mdp.next_states[rows], mdp.probabilities[rows], mdp.rewards[rows], mdp.discount, mdp.start, mdp.terminal
    )
    own = RobustPolicyIteration(alone, uncertainty, tolerance=tolerance).solve()
    return float(mdp.start @ (best.lower - own.upper)), float(mdp.start @ (best.upper - own.lower))


def disturbance_gain(costs: Any, disturbances: Any) -> float:
    """The square root of accumulated cost over accumulated squared disturbance, the greatest over episodes.

    Args:
        costs: [E, T], at least 0.
        disturbances: [E, T, K].

    Raises:
        InvalidParameter: a cost is negative, or an episode has no disturbance.
    """
    paid = np.asarray(costs, np.float64)
    energy = np.square(np.asarray(disturbances, np.float64)).sum((1, 2))
    if (paid < 0).any():
        raise InvalidParameter("Costs must be at least 0; a reward is not a cost.")
    if (energy == 0).any():
        raise InvalidParameter("An episode has no disturbance, so it has no gain.")
    return float(np.sqrt((paid.sum(1) / energy).max()))


class LinearGame:
    """x' = A x + B u + D w with the cost x'Q x + u'R u - level^2 |w|^2: the agent chooses u, the adversary w.

    Args:
        a, b, d: matrices [n, n], [n, m] and [n, k].
        q, r: cost matrices [n, n] and [m, m], positive semidefinite and definite.
        discount: of the cost per step.
    """

    def __init__(self, a: Any, b: Any, d: Any, q: Any, r: Any, discount: float = 1.0) -> None:
        self.a, self.b, self.d, self.q, self.r = (
            np.atleast_2d(np.asarray(each, np.float64)) for each in (a, b, d, q, r)
        )
        self.discount = finite_number("The discount", discount, 0.0, 1.0, above=True)

    def solve(self, level: float, iterations: int = 100_000) -> tuple[Floats, Floats, Floats] | None:
        """The value x'P x at the saddle point, and the gains of u = -K x and w = L x, for a level of disturbance.

        Iterates the game's Riccati equation from P = Q.

        Returns:
            P, K and L; None if there is no saddle point: the level is below the H-infinity optimum.
        """
        joint = np.hstack([self.b, self.d])
        m, k = self.b.shape[1], self.d.shape[1]
        weight = np.zeros((m + k, m + k))
        weight[:m, :m], weight[m:, m:] = self.r, -(level**2) * np.eye(k)
        p = self.q.copy()
        for _ in range(iterations):
            kept = self.discount * p
            if np.linalg.eigvalsh(weight[m:, m:] + self.d.T @ kept @ self.d).max() >= 0 or not np.isfinite(p).all():
                return None  # the adversary gains without bound
            gains: Floats = np.asarray(np.linalg.solve(weight + joint.T @ kept @ joint, joint.T @ kept @ self.a))
            following = self.q + self.a.T @ kept @ (self.a - joint @ gains)
            if np.abs(following - p).max() <= 1e-13 * max(1.0, np.abs(p).max()):
                return following, gains[:m], -gains[m:]
            p = following
        return None

    def least_level(self, tolerance: float = 1e-8) -> float:
        """The H-infinity optimal gain: the least level at which the game has a saddle point.

        Raises:
            InvalidParameter: there is none below 1e8: the system cannot be stabilised.
        """
        low, high = 0.0, 1.0
        while self.solve(high) is None:
            low, high = high, 2 * high
            if high > 1e8:
                raise InvalidParameter("No controller bounds the gain of this system: is (A, B) stabilisable?")
        while high - low > tolerance * high:
            middle = (low + high) / 2
            low, high = (middle, high) if self.solve(middle) is None else (low, middle)
        return high
