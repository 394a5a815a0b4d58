"""Schedules of parameters within an episode.

The shapes are those used in the evaluation of TC-RMDP (Zouitine et al., "Time-Constrained Robust MDPs", arXiv
2406.08395, repository SuReLI/TCRMDP): a ramp from a random start to a random end of the range, linear, exponential
or logarithmic; a cosine; a random walk with a maximum step. Start and end can be fixed instead.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

import numpy as np
from typing_extensions import override

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import InvalidParameter, UnknownId

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Exponential",
    "Linear",
    "Logarithmic",
    "Point",
    "RandomWalk",
    "Schedule",
    "Span",
]

Point = float | Literal["low", "high", "nominal"] | None
NAMED = ("low", "high", "nominal")


@dataclass(frozen=True)
class Span:
    """A parameter's range and nominal value, in its own unit."""

    low: float
    high: float
    nominal: float

    def point(self, point: Point, rng: np.random.Generator) -> float:
        """A named or given value; None draws one uniformly from the range."""
        if point is None:
            return float(rng.uniform(self.low, self.high))
        return float(getattr(self, point)) if isinstance(point, str) else float(point)


class Schedule(ABC):
    """Base of schedules, which give a parameter's value at every step of an episode."""

    @abstractmethod
    def values(self, span: Span, rng: np.random.Generator) -> Iterator[float]:
        """The values during step 0, 1, 2, ... of one episode, without end.

        Args:
            span: the parameter's range.
            rng: the random stream of this parameter's schedule.
        """

    def points(self) -> tuple[Point, ...]:
        """The given (not drawn) start and end values, which are checked against the range."""
        return ()


def _check_point(schedule: Schedule, name: str) -> None:
    """Check a start or end: a finite number, converted to a float, a name, or None. The range is checked later."""
    point = getattr(schedule, name)
    if isinstance(point, str) and point not in NAMED:
        raise UnknownId("point of a schedule", point, NAMED, "Or give a number.")
    if point is not None and not isinstance(point, str):
        object.__setattr__(schedule, name, finite_number(f"{type(schedule).__name__}.{name}", point))


@dataclass(frozen=True)
class Constant(Schedule):
    """A constant value; None draws a new one for each episode."""

    value: Point = None

    def __post_init__(self) -> None:
        _check_point(self, "value")

    @override
    def values(self, span: Span, rng: np.random.Generator) -> Iterator[float]:
        value = span.point(self.value, rng)
        while True:
            yield value

    @override
    def points(self) -> tuple[Point, ...]:
        return (self.value,)


@dataclass(frozen=True)
class Linear(Schedule):
    """From ``start`` to ``end`` in equal steps, then constant.

    Attributes:
        start: first value; None draws it uniformly from the range.
        end: last value; None draws one of the range's two ends.
        steps: number of values from start to end, both included.
    """

    start: Point = None
    end: Point = None
    steps: int = 1000

    def __post_init__(self) -> None:
        _check_point(self, "start")
        _check_point(self, "end")
        if whole_number(f"{type(self).__name__}.steps", self.steps, -(2**63)) < 2:
            raise InvalidParameter(f"A schedule needs at least 2 steps to get from start to end, not {self.steps}.")

    @override
    def values(self, span: Span, rng: np.random.Generator) -> Iterator[float]:
        start = span.point(self.start, rng)
        end = float(rng.choice([span.low, span.high])) if self.end is None else span.point(self.end, rng)
        for step in count():
            time = min(step / (self.steps - 1), 1.0)
            # Rising and falling ramps of the same kind are mirror images: both convex, or both concave.
            progress = self.shape(time) if start < end else 1.0 - self.shape(1.0 - time)
            yield end if time == 1.0 else start + (end - start) * progress

    @override
    def points(self) -> tuple[Point, ...]:
        return (self.start, self.end)

    @staticmethod
    def shape(time: float) -> float:
        """Progress of a rising ramp: from 0 at time 0 to 1 at time 1."""
        return time


@dataclass(frozen=True)
class Exponential(Linear):
    """Like :class:`Linear` but slow near the lower of its two values: (10^t - 1) / 9."""

    @override
    @staticmethod
    def shape(time: float) -> float:
        return (10.0**time - 1.0) / 9.0


@dataclass(frozen=True)
class Logarithmic(Linear):
    """Like :class:`Linear` but slow near the higher of its two values: log10(1 + 9 t)."""

    @override
    @staticmethod
    def shape(time: float) -> float:
        return math.log10(1.0 + 9.0 * time)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Oscillates between the range's two ends: low + (high - low) (cos(pi rate t + phase) + 1) / 2.

    Attributes:
        rate: half periods per step (TC-RMDP: .1, a period of 20 steps).
        phase: in radians; None draws it uniformly from one period.
    """

    rate: float = 0.1
    phase: float | None = None

    def __post_init__(self) -> None:
        finite_number("Cosine.rate", self.rate, 0.0, 1e6)  # above, the phase of a step is lost in rounding
        if self.phase is not None:
            finite_number("Cosine.phase", self.phase)

    @override
    def values(self, span: Span, rng: np.random.Generator) -> Iterator[float]:
        phase = float(rng.uniform(0.0, 2.0 * math.pi)) if self.phase is None else self.phase
        for step in count():
            height = (math.cos(math.pi * self.rate * step + phase) + 1.0) / 2.0
            yield span.low + (span.high - span.low) * height


@dataclass(frozen=True)
class RandomWalk(Schedule):
    """A random walk with uniform steps of at most ``radius``, clipped to the range.

    Attributes:
        radius: maximum change per step, in the parameter's unit (TC-RMDP: .1 in evaluation, .001 in training).
        start: first value; None draws it uniformly from the range.
    """

    radius: float = 0.1
    start: Point = None

    def __post_init__(self) -> None:
        finite_number("RandomWalk.radius", self.radius, 0.0, 1e300)  # a draw has twice this range
        _check_point(self, "start")

    @override
    def values(self, span: Span, rng: np.random.Generator) -> Iterator[float]:
        value = span.point(self.start, rng)
        while True:
            yield value
            moved = value + float(rng.uniform(-self.radius, self.radius))
            value = min(max(moved, span.low), span.high)

    @override
    def points(self) -> tuple[Point, ...]:
        return (self.start,)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "linear": Linear,
    "exponential": Exponential,
    "logarithmic": Logarithmic,
    "cosine": Cosine,
    "random_walk": RandomWalk,
}
