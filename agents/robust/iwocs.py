"""Incremental worst-case search (IWOCS): a robust process solved as a sequence of ordinary ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentgym.agents.robust.evaluation import evaluate_exactly
from agentgym.agents.robust.search import Grid, OnRepeat, Search, checked_ranges, next_point
from agentgym.agents.robust.solution import Solution
from agentgym.agents.robust.solvers import RobustPolicyIteration
from agentgym.contracts.mdp import MDP
from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.seeding import stream

__all__ = ["IWOCS", "Iteration", "Outcome"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Iteration:
    """What one iteration found.

    Attributes:
        parameters: of the model T_i that was solved.
        optimum: its own optimum from the start, V*_{T_i}.
        promised: Q_i of the start under pi_i, the pointwise minimum over the models solved so far.
        worst_parameters: of the model T_{i+1}, the worst one found for pi_i.
        worst: what pi_i gets in it.
        gap: the least optimum so far minus ``worst``. No policy can guarantee more than the former over the family, so
            pi_i is at most this far from the best one, up to what the search has missed.
        evaluations: models evaluated by the searches so far.
    """

    parameters: Mapping[str, float]
    optimum: float
    promised: float
    worst_parameters: Mapping[str, float]
    worst: float
    gap: float
    evaluations: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the loop returns.

    Attributes:
        policy: [S, A], the policy whose worst value is the greatest of all iterations.
        worst: that value, from the start.
        gap: the least optimum of all models that were solved minus ``worst``.
        q: [S, A], the pointwise minimum at the end: an upper bound of the optimum of the rectangular hull.
        trace: the iterations.
        reason: why it ended: "met" (promised and worst agree), "repeated" (the worst model was solved already),
            "iterations" or "budget".
    """

    policy: Floats
    worst: float
    gap: float
    q: Floats
    trace: tuple[Iteration, ...]
    reason: Literal["met", "repeated", "iterations", "budget"]


class IWOCS:
    """Algorithm 1 of Zouitine, Geist and Rachelson (arXiv 2410.06212), for finite processes.

    Repeat: solve the model T_i; take Q_i, the minimum of the optimal action values of all models so far, state by state
    and action by action; search the family for the model in which the greedy policy of Q_i gets least; stop when that
    is what Q_i promised. Q_i is never below the optimum of the rectangular hull of the models so far, nor that below
    the optimum of the whole family's hull: it is optimistic.

    Args:
        family: makes the process of given parameters; all have the same states, actions, start and discount.
        ranges: lowest and highest value of each parameter.
        first: the parameters of T_0; the middle of the ranges by default.
        search: :class:`~agentgym.agents.robust.search.Grid` or :class:`~agentgym.agents.robust.search.CMAES`, or any
            :class:`~agentgym.agents.robust.search.Search`.
        solver: solves one ordinary process.
        tolerance: the difference between promised and worst value at which it stops.
        max_iterations: the most models that are solved.
        budget: the most models that the searches evaluate; None for no limit.
        on_repeat: what to do when the worst model was solved before, so that Q cannot change any more: "stop",
            "exclude" (go on with the worst one that was not solved) or "sample" (with one drawn uniformly).
        seed: of searches and samples.

    Raises:
        InvalidParameter: a range is empty, a number out of its range, or the budget is too small for one iteration.
        UnknownId: ``first`` has another parameter, or there is no such way to go on.
    """

    def __init__(
        self,
        family: Callable[..., MDP],
        ranges: Mapping[str, tuple[float, float]],
        *,
        first: Mapping[str, float] | None = None,
        search: Search | None = None,
        solver: Callable[[MDP], Solution] | None = None,
        tolerance: float = 1e-4,
        max_iterations: int = 10,
        budget: int | None = None,
        on_repeat: OnRepeat = "stop",
        seed: int = 0,
    ) -> None:
        self.family, self.ranges, self.search = family, checked_ranges(ranges), search or Grid()
        self.solver = solver or (lambda mdp: RobustPolicyIteration(mdp, tolerance=tolerance / 10).solve())
        self.tolerance = finite_number("The tolerance", tolerance, 0.0, above=True)
        self.max_iterations = whole_number("max_iterations", max_iterations, 1)
        if on_repeat not in ("stop", "exclude", "sample"):
            raise UnknownId("value of on_repeat", str(on_repeat), ("stop", "exclude", "sample"))
        self.on_repeat, self.budget = on_repeat, budget
        self._one = self.search.evaluations(self.ranges)
        if budget is not None and whole_number("budget", budget, 0) < self._one:
            raise InvalidParameter(f"The budget of {budget} evaluations is too small: one iteration takes {self._one}.")
        self._draws = stream(whole_number("seed", seed, 0), "iwocs")
        self._bounds = np.array(list(self.ranges.values())).T
        self._first = self._point(first)

    def _point(self, first: Mapping[str, float] | None) -> Floats:
        if first is None:
            return np.array([(low + high) / 2 for low, high in self.ranges.values()])
        for name in first:
            if name not in self.ranges:
                raise UnknownId("parameter of the family", str(name), self.ranges)
        if missing := [name for name in self.ranges if name not in first]:
            raise InvalidParameter(f"The first model has no {missing[0]}: give a value for every parameter.")
        return np.array([finite_number(name, first[name], *self.ranges[name]) for name in self.ranges])

    def solve(self) -> Outcome:
        """Run the loop."""
        point, solved, q = self._first, list[Floats](), np.array(np.inf)
        trace: list[Iteration] = []
        best, best_policy, least, evaluations = -np.inf, np.zeros((0, 0)), np.inf, 0
        reason: Literal["met", "repeated", "iterations", "budget"] = "iterations"
        for _ in range(self.max_iterations):
            mdp = self.family(**self._named(point))
            solved.append(point)
            solution = self.solver(mdp)
            least = min(least, float(mdp.start @ solution.upper))
            q = np.minimum(q, _action_values(mdp, solution.upper))
            policy = np.eye(mdp.shape[1])[q.argmax(1)]
            promised = float(mdp.start @ q.max(1))
            points, values = self.search(lambda each: self._values(each, policy), self.ranges, self._draws)  # noqa: B023
            evaluations += len(points)
            worst = float(values.min())
            found = points[int(values.argmin())]
            trace.append(Iteration(
                self._named(point), float(mdp.start @ solution.value), promised, self._named(found), worst,
                least - worst, evaluations,
            ))  # fmt: skip
            if worst > best:
                best, best_policy = worst, policy
            if abs(worst - promised) <= self.tolerance:
                reason = "met"
                break
            following = next_point(
                found, points, values, solved, self.on_repeat, lambda: self._draws.uniform(*self._bounds)
            )
            if following is None:
                reason = "repeated"
                break
            if self.budget is not None and evaluations + self._one > self.budget:
                reason = "budget"
                break
            point = following
        return Outcome(best_policy, best, least - best, q, tuple(trace), reason)

    def _values(self, points: Floats, policy: Floats) -> Floats:
        """What a policy gets from the start in the models at points [M, D]."""
        found = np.zeros(len(points))
        for m, point in enumerate(points):
            mdp = self.family(**self._named(point))
            found[m] = mdp.start @ evaluate_exactly(mdp, policy)
        return found

    def _named(self, point: Floats) -> dict[str, float]:
        return dict(zip(self.ranges, point.tolist(), strict=True))


def _action_values(mdp: MDP, values: Floats) -> Floats:
    """Q [S, A] of what follows being worth ``values`` [S]."""
    return (mdp.probabilities * (mdp.rewards + mdp.discount * values[mdp.next_states])).sum(2)
