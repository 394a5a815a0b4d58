"""Solvers of finite robust processes: value iteration, policy iteration, backward induction."""

import numpy as np
from numpy.typing import NDArray

from agentgym.agents.robust.bellman import Backup, RobustBellman
from agentgym.agents.robust.evaluation import DIRECT, Evaluation, require_discounted
from agentgym.agents.robust.sets import UncertaintySet
from agentgym.agents.robust.solution import Solution
from agentgym.contracts.mdp import MDP
from agentgym.contracts.settings import finite_number, whole_number

__all__ = ["RobustPolicyIteration", "RobustValueIteration", "backward_induction"]

Floats = NDArray[np.float64]


class RobustValueIteration:
    """Repeat V <- TV until the robust optimum is known within the tolerance (Iyengar 2005; Nilim and El Ghaoui 2005).

    T is monotone, and T(V + c) = TV + discount c, so the optimum is within TV + discount / (1 - discount) times the
    least and the greatest entry of TV - V (MacQueen 1966, for the robust operator as for the ordinary one). The inner
    minima's own bounds and rounding are part of the interval.

    Args:
        mdp: the nominal process.
        uncertainty: the set of kernels; None solves the ordinary process.
        tolerance: the largest error of a value.
        max_iterations: a cap; a solution that it cut short says so (``converged``), and its bounds hold as well.

    Raises:
        InvalidParameter: the discount is 1, the set does not fit the process, or a setting is out of its range.
        NonFinite: a number of the set is NaN or infinite.
    """

    def __init__(
        self, mdp: MDP, uncertainty: UncertaintySet | None = None, *, tolerance: float = 1e-6,
        max_iterations: int = 100_000,
    ) -> None:  # fmt: skip
        require_discounted(mdp)
        self.mdp, self.operator = mdp, RobustBellman(mdp, uncertainty)
        self.tolerance = finite_number("The tolerance", tolerance, 0.0, above=True)
        self.max_iterations = whole_number("max_iterations", max_iterations, 1)

    def solve(self, start: Floats | None = None) -> Solution:
        """Iterate from the values ``start`` [S], 0 by default."""
        values = np.zeros(self.mdp.shape[0]) if start is None else np.asarray(start, np.float64)
        policy: Floats | None = None
        for iteration in range(1, self.max_iterations + 1):
            backup = self.operator.backup(values, policy)
            solution = self._bounded(values, backup, iteration)
            if solution.converged or self._settled(values, backup):
                return solution
            policy = backup.policy
            values = self._next(values, backup, solution)
        return solution

    def _next(self, values: Floats, backup: Backup, solution: Solution) -> Floats:
        return 0.5 * (backup.lower + backup.upper)

    def _settled(self, values: Floats, backup: Backup) -> bool:
        """Whether only rounding changes the values any more."""
        change = np.abs(0.5 * (backup.lower + backup.upper) - values).max()
        return bool(change <= self.operator.rounding(values) * 0.05)

    def _bounded(self, values: Floats, backup: Backup, iteration: int) -> Solution:
        slack, factor = self.operator.rounding(values), self.mdp.discount / (1.0 - self.mdp.discount)
        lower, upper = backup.lower - slack, backup.upper + slack
        lower = lower + factor * (lower - values).min()
        upper = upper + factor * (upper - values).max()
        lower, upper = (np.where(self.mdp.terminal, 0.0, end) for end in (lower, upper))
        error = float((upper - lower).max() / 2)
        middle = 0.5 * (lower + upper)
        return Solution(
            middle, lower, upper, backup.policy, backup.kernel, backup.q, iteration, error <= self.tolerance
        )


class RobustPolicyIteration(RobustValueIteration):
    """Improve the policy, find what it gets at worst, repeat (partial policy iteration: Ho, Petrik, Wiesemann 2021).

    Nature's worst kernel for a policy is found by policy iteration too: nature answers the values, linear equations
    give the values of the answer. It stops at a tenth of the last improvement, so early policies are not evaluated in
    full. Up to 1,000 states the equations are factorised, beyond they are solved by sweeps. The bounds are those of
    :class:`RobustValueIteration`. An action that is not better than the incumbent by more than rounding does not
    replace it.
    """

    def __init__(
        self, mdp: MDP, uncertainty: UncertaintySet | None = None, *, tolerance: float = 1e-6,
        max_iterations: int = 1_000,
    ) -> None:  # fmt: skip
        super().__init__(mdp, uncertainty, tolerance=tolerance, max_iterations=max_iterations)
        self._evaluation = Evaluation(mdp)

    def _next(self, values: Floats, backup: Backup, solution: Solution) -> Floats:
        # The last values are no lower than before wherever the policy improves, so evaluation begins there.
        target = 0.1 * float(np.abs(backup.lower - values).max())
        kernel, values = backup.kernel, backup.lower
        least = self.operator.rounding(values)
        target = max(target, least)
        weighted = backup.policy[:, :, None]
        for _ in range(self.max_iterations):
            residual = 0.1 * target if self.mdp.shape[0] > DIRECT else 0.0
            values = self._evaluation.solve(backup.policy, kernel, values, residual)
            kernel = self.operator.answer(backup.policy, values)
            outcomes = self.mdp.rewards + self.mdp.discount * values[self.mdp.next_states]
            after = (weighted * kernel * outcomes).sum((1, 2))
            if (values - after).max() <= target:
                break
        return after


def backward_induction(
    mdp: MDP, uncertainty: UncertaintySet | None, horizon: int
) -> tuple[Floats, NDArray[np.float64]]:
    """The robust optimum of a finite horizon, also at discount 1.

    Args:
        mdp: the nominal process.
        uncertainty: the set of kernels, from which nature chooses anew at every step; None for an ordinary process.
        horizon: the number of steps, T.

    Returns:
        Values [T + 1, S] with 0, 1, ..., T steps to go, and policies [T, S, A]: row t is for t + 1 steps to go.

    Raises:
        InvalidParameter, NonFinite: the horizon is no whole number from 1 up, or the set does not fit the process.
    """
    steps = whole_number("The horizon", horizon, 1)
    operator = RobustBellman(mdp, uncertainty)
    values, policies = [np.zeros(mdp.shape[0])], []
    for _ in range(steps):
        backup = operator.backup(values[-1])
        values.append(backup.lower)
        policies.append(backup.policy)
    return np.stack(values), np.stack(policies)
