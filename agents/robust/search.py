"""Searches for the worst model of a family: over a grid, or by CMA-ES."""

import importlib.util
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.settings import finite_number, flag, whole_number
from agentgym.errors import InvalidParameter, MissingExtra

__all__ = ["CMAES", "Grid", "OnRepeat", "Search", "checked_ranges", "next_point"]

Floats = NDArray[np.float64]
Ranges = Mapping[str, tuple[float, float]]
OnRepeat = Literal["stop", "exclude", "sample"]
Values = Callable[[Floats], Floats]
"""Values [M] of the models at points [M, D]."""


class Search(Protocol):
    """How to look for the point of least value."""

    def evaluations(self, ranges: Ranges) -> int:
        """How many points one search looks at, at most."""

    def __call__(self, values: Values, ranges: Ranges, draws: np.random.Generator) -> tuple[Floats, Floats]:
        """All points [M, D] that were looked at, and their values [M]."""


@dataclass(frozen=True)
class Grid:
    """All points of a regular grid.

    Attributes:
        points: along each parameter.
        endpoint: whether the upper ends of the ranges are on the grid, as in M2TD3's evaluation; RRLS leaves them out.
    """

    points: int = 25
    endpoint: bool = True

    def __post_init__(self) -> None:
        whole_number("points", self.points, 1)
        flag("endpoint", self.endpoint)

    def evaluations(self, ranges: Ranges) -> int:
        """points to the power of the number of parameters."""
        return int(self.points ** len(ranges))

    def __call__(self, values: Values, ranges: Ranges, draws: np.random.Generator) -> tuple[Floats, Floats]:
        """All points, in the order of the grid."""
        axes = [np.linspace(low, high, self.points, endpoint=self.endpoint) for low, high in ranges.values()]
        points = np.array(list(itertools.product(*axes)))
        return points, values(points)


@dataclass(frozen=True)
class CMAES:
    """Covariance matrix adaptation (Hansen), by the package ``cma``; IWOCS uses 6 generations of 100 (extra: robust).

    The mean starts in the middle of the ranges. Draws come from the given generator alone: NumPy's global generator is
    neither read nor seeded.

    Attributes:
        generations: how many.
        population: points a generation, at least 4.
        deviation: the first standard deviation, as a share of the ranges.
    """

    generations: int = 6
    population: int = 100
    deviation: float = 0.5

    def __post_init__(self) -> None:
        whole_number("generations", self.generations, 1)
        whole_number("population", self.population, 4)
        finite_number("deviation", self.deviation, 0.0, above=True)
        if importlib.util.find_spec("cma") is None:
            raise MissingExtra("cma", "robust")

    def evaluations(self, ranges: Ranges) -> int:
        """generations times population."""
        return self.generations * self.population

    def __call__(self, values: Values, ranges: Ranges, draws: np.random.Generator) -> tuple[Floats, Floats]:
        """All points that were drawn, in their order."""
        import cma

        low, high = np.array(list(ranges.values())).T
        dimensions = len(low)
        # cma has no form for one dimension: a second one that no model hears is added.
        used = max(dimensions, 2)
        strategy = cma.CMAEvolutionStrategy(
            np.full(used, 0.5), self.deviation,
            {"bounds": [0.0, 1.0], "popsize": self.population, "maxiter": self.generations, "verbose": -9,
             "seed": np.nan, "randn": lambda *shape: draws.standard_normal(shape)},
        )  # fmt: skip
        points, found = [], []
        for _ in range(self.generations):
            asked = strategy.ask()
            each = low + (high - low) * np.clip(np.array(asked)[:, :dimensions], 0.0, 1.0)
            worth = values(each)
            strategy.tell(asked, worth.tolist())
            points.append(each)
            found.append(worth)
        return np.concatenate(points), np.concatenate(found)


def next_point(
    found: Floats, points: Floats, values: Floats, solved: Sequence[Floats], on_repeat: OnRepeat,
    draw: Callable[[], Floats],
) -> Floats | None:  # fmt: skip
    """The model that IWOCS solves next; None where the loop can make no more progress.

    Args:
        found: the worst point, [D].
        points, values: all that the search looked at, [M, D] and [M].
        solved: the points that were solved before.
        on_repeat: what to do when ``found`` is one of them: "stop", "exclude" (the worst of the others) or "sample".
        draw: draws a point uniformly.
    """
    if not any(np.array_equal(found, each) for each in solved):
        return found
    if on_repeat == "sample":
        return draw()
    new = ~(points[:, None] == np.array(solved)[None]).all(2).any(1)
    if on_repeat == "stop" or not new.any():
        return None
    worst: Floats = points[int(np.where(new, values, np.inf).argmin())]
    return worst


def checked_ranges(ranges: Ranges) -> dict[str, tuple[float, float]]:
    """Lowest and highest value by name.

    Raises:
        InvalidParameter: there are none, or a range is empty or not finite.
    """
    checked = {}
    for name, (low, high) in ranges.items():
        checked[name] = (finite_number(f"The lowest {name}", low), finite_number(f"The highest {name}", high))
        if checked[name][0] > checked[name][1]:
            raise InvalidParameter(f"The range of {name} is empty: {low:g} to {high:g}.")
    if not checked:
        raise InvalidParameter("The family has no parameters: give at least one range.")
    return checked
