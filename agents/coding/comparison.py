"""Controls of turns side by side on the same tasks, with paired statistics by task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from agentgym.agents.coding.control import Control, Dynamic, Fixed, Unrestricted, limits_of
from agentgym.agents.coding.costs import Price
from agentgym.agents.coding.loop import solve
from agentgym.agents.coding.models import Model
from agentgym.agents.coding.trajectory import Trajectory
from agentgym.errors import InvalidParameter

__all__ = ["Summary", "calibrated", "compare", "hypervolume", "mcnemar", "play", "summarised"]


@dataclass(frozen=True)
class Summary:
    """A control's results on a list of tasks.

    Attributes:
        tasks: runs with a verdict; runs without one are left out of everything else.
        no_verdict: runs without a verdict.
        solved: share of the tasks.
        turns: mean.
        cost: dollars a task, None if any is unknown.
        cost_solved: dollars a solved task; None if unknown or nothing is solved.
        difference: of the share solved from the first control, with its 95 % bootstrap interval over tasks.
        saving: share of the first control's cost a task that is saved, with its interval; None if unknown.
        p: of McNemar's exact test against the first control.
        exits: share of each exit.
        extended: share of the runs that were extended.
    """

    tasks: int
    no_verdict: int
    solved: float
    turns: float
    cost: float | None
    cost_solved: float | None
    difference: tuple[float, float, float]
    saving: tuple[float, float, float] | None
    p: float
    exits: dict[str, float]
    extended: float


def calibrated(turns: Sequence[int]) -> dict[str, Control]:
    """The paper's three strategies, with limits from unrestricted runs on other tasks.

    ``dynamic`` begins at the median, and its extensions are as long as from there to the 75th percentile.
    """
    limits = limits_of(turns)
    step, cap = max(1, limits[75] - limits[50]), max(turns)
    return {
        "unrestricted": Unrestricted(),
        **{f"fixed, {percent} %": Fixed(limit) for percent, limit in limits.items()},
        "dynamic, automatic": Dynamic(limits[50], step, cap, rule_name="automatic"),
        "dynamic, evidence": Dynamic(limits[50], step, cap, rule_name="evidence"),
    }


def play(env: Any, model: Callable[[int], Model], control: Control, seeds: Sequence[int]) -> list[Trajectory]:
    """One run a task. ``model`` makes a model for a seed, so that its draws are the same under every control."""
    return [solve(env, seed, model(seed), control) for seed in seeds]


def compare(
    env: Any, model: Callable[[int], Model], controls: Mapping[str, Control], seeds: Sequence[int], price: Price | None
) -> dict[str, Summary]:
    """Play the same tasks under every control; the first is what the others are compared with."""
    runs = {name: play(env, model, control, seeds) for name, control in controls.items()}
    return summarised(runs, price)


def summarised(runs: Mapping[str, Sequence[Trajectory]], price: Price | None) -> dict[str, Summary]:
    """Summaries of runs on the same tasks, in the same order.

    Raises:
        InvalidParameter: the tasks differ, or models of several kinds share the table.
    """
    first = next(iter(runs.values()))
    if any([run.seed for run in mine] != [run.seed for run in first] for mine in runs.values()):
        raise InvalidParameter("Controls are compared on the same tasks, in the same order.")
    if len({run.kind for mine in runs.values() for run in mine}) > 1:
        raise InvalidParameter("Scripted, simulated, replayed, learned and real models do not share a table.")
    return {name: _summary(mine, first, price) for name, mine in runs.items()}


def _summary(mine: Sequence[Trajectory], first: Sequence[Trajectory], price: Price | None) -> Summary:
    pairs = [(one, other) for one, other in zip(mine, first, strict=True) if None not in (one.solved, other.solved)]
    if not pairs:
        raise InvalidParameter("No task has a verdict.")
    solved, base = (np.array([bool(pair[n].solved) for pair in pairs]) for n in (0, 1))
    costs, paid = _costs([pair[0] for pair in pairs], price), _costs([pair[1] for pair in pairs], price)
    draws = np.random.default_rng(0).integers(len(pairs), size=(2000, len(pairs)))
    gain = solved.astype(float) - base
    saving = None
    if costs is not None and paid is not None:
        saving = _interval(1 - costs.sum() / paid.sum(), 1 - costs[draws].sum(1) / paid[draws].sum(1))
    return Summary(
        tasks=len(pairs),
        no_verdict=len(mine) - len(pairs),
        solved=float(solved.mean()),
        turns=float(np.mean([len(pair[0].turns) for pair in pairs])),
        cost=None if costs is None else float(costs.mean()),
        cost_solved=None if costs is None or not solved.any() else float(costs.sum() / solved.sum()),
        difference=_interval(gain.mean(), gain[draws].mean(1)),
        saving=saving,
        p=mcnemar(solved, base),
        exits={name: float(np.mean([run.exit == name for run in mine])) for name in sorted({run.exit for run in mine})},
        extended=float(np.mean([run.extensions > 0 for run in mine])),
    )


def _costs(runs: Sequence[Trajectory], price: Price | None) -> np.ndarray | None:
    costs = [run.cost(price) for run in runs]
    known = [cost.cached for cost in costs if cost is not None]
    return np.array(known) if len(known) == len(runs) else None


def _interval(value: float, drawn: np.ndarray) -> tuple[float, float, float]:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(value), float(low), float(high)


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
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
