"""Paired statistics of controls of turns on the same tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

__all__ = ["Paired", "hypervolume", "mcnemar", "paired"]

RESAMPLES = 2000


@dataclass(frozen=True)
class Paired:
    """A control beside a reference on the same tasks.

    Attributes:
        tasks: number of tasks.
        solved: share of the tasks.
        cost: mean of a task; None if any is unknown.
        cost_solved: cost of all tasks by the number of solved ones; None if unknown or nothing is solved.
        difference: of the share solved from the reference's, with its 95 % bootstrap interval over tasks.
        saving: share of the reference's cost that is saved, with its interval; None if unknown.
        p: of McNemar's exact test.
    """

    tasks: int
    solved: float
    cost: float | None
    cost_solved: float | None
    difference: tuple[float, float, float]
    saving: tuple[float, float, float] | None
    p: float


def paired(
    solved: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    costs: NDArray[np.float64] | None,
    reference_costs: NDArray[np.float64] | None,
) -> Paired:
    """Compare a control with a reference.

    Args:
        solved, reference: whether each task is solved, [n] each.
        costs, reference_costs: of each task, [n] each; None: unknown.
    """
    draws = np.random.default_rng(0).integers(len(solved), size=(RESAMPLES, len(solved)))
    gain = solved.astype(float) - reference
    saving = None
    if costs is not None and reference_costs is not None and reference_costs.any():
        drawn = 1 - costs[draws].sum(1) / reference_costs[draws].sum(1)
        saving = _interval(1 - costs.sum() / reference_costs.sum(), drawn)
    return Paired(
        tasks=len(solved),
        solved=float(solved.mean()),
        cost=None if costs is None else float(costs.mean()),
        cost_solved=None if costs is None or not solved.any() else float(costs.sum() / solved.sum()),
        difference=_interval(gain.mean(), gain[draws].mean(1)),
        saving=saving,
        p=mcnemar(solved, reference),
    )


def _interval(value: float, drawn: NDArray[np.float64]) -> tuple[float, float, float]:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(value), float(low), float(high)


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """The p-value of McNemar's exact test on paired successes; 1 if no pair differs."""
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    return float(binomtest(only_one, only_one + only_other).pvalue) if only_one + only_other else 1.0


def hypervolume(points: Sequence[tuple[float, float]], cost: float) -> float:
    """The area that points (cost, share solved) dominate, up to a reference cost; larger is better."""
    area, best = 0.0, 0.0
    inside = sorted(point for point in points if point[0] <= cost)
    for number, (spent, share) in enumerate(inside):
        best = max(best, share)
        after = inside[number + 1][0] if number + 1 < len(inside) else cost
        area += (after - spent) * best
    return area
