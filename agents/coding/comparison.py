"""Controls of turns side by side on the same tasks, with paired statistics by task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentgym.agents.coding.costs import Price
from agentgym.agents.coding.loop import solve
from agentgym.agents.coding.models import Model
from agentgym.agents.coding.trajectory import Trajectory
from agentgym.errors import InvalidParameter
from agentgym.turns.control import Control, Dynamic, Fixed, Unrestricted, limits_of
from agentgym.turns.paired import Paired, paired

__all__ = ["Summary", "calibrated", "compare", "play", "summarised"]


@dataclass(frozen=True)
class Summary(Paired):
    """A control's results on a list of tasks, beside those of the first control.

    Attributes:
        no_verdict: runs without a verdict, which are left out of everything else.
        turns: mean.
        exits: share of each exit.
        extended: share of the runs that were extended.
    """

    no_verdict: int
    turns: float
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
    return Summary(
        **vars(paired(solved, base, *(_costs([pair[n] for pair in pairs], price) for n in (0, 1)))),
        no_verdict=len(mine) - len(pairs),
        turns=float(np.mean([len(pair[0].turns) for pair in pairs])),
        exits={name: float(np.mean([run.exit == name for run in mine])) for name in sorted({run.exit for run in mine})},
        extended=float(np.mean([run.extensions > 0 for run in mine])),
    )


def _costs(runs: Sequence[Trajectory], price: Price | None) -> np.ndarray | None:
    costs = [run.cost(price) for run in runs]
    known = [cost.cached for cost in costs if cost is not None]
    return np.array(known) if len(known) == len(runs) else None
