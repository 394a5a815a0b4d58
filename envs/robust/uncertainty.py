"""The values of parameters in each episode and step: given, scheduled, drawn or nominal."""

import math
import numbers
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import mujoco
import numpy as np

from agentgym.contracts.settings import flag
from agentgym.envs.robust.dynamics import ParametricModel
from agentgym.envs.robust.parameters import Range
from agentgym.envs.robust.presets import TASKS, Compat, Forces, force_names, known_parameters, uncertainty_set
from agentgym.envs.robust.schedules import SCHEDULES, Schedule, Span
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.seeding import restore, state_of, stream

__all__ = ["Schedules", "Uncertainty", "Values"]

Values = Mapping[str, float | None]
Schedules = str | Schedule | Mapping[str, str | Schedule]


MOST = 1e30  # upper bound for any parameter without check_range; above it, products overflow


class Uncertainty:
    """The parameters of one world, across episodes and steps.

    If several sources define a parameter, the first of these applies: values given at the last reset, values
    given at construction, its schedule, its random draw, its nominal value. A given None means nominal.

    Args:
        task: a key of :data:`agentgym.envs.robust.presets.TASKS`.
        model: the task's compiled model, which is edited in place from now on.
        others: as in :class:`agentgym.envs.robust.env.RobustEnv`.
    """

    def __init__(
        self,
        task: str,
        model: mujoco.MjModel,
        uncertainty: str | None = None,
        parameters: Values | None = None,
        randomize: Literal["uniform"] | None = None,
        schedule: Schedules | None = None,
        forces: Forces | None = None,
        compat: Compat | None = None,
        check_range: bool = True,
    ) -> None:
        _check_choices(randomize, compat)
        self.task = task
        self.check_range = flag("check_range", check_range)
        self.randomize = randomize
        self.known = known_parameters(task, compat, forces)
        _check_forces(task, model, forces, self.known)
        self.physics = ParametricModel(model, self.known)
        self.nominal = self.physics.nominal
        self.ranges: dict[str, Range] = uncertainty_set(task, uncertainty)
        self.ranges |= {name: self.known[name].range for name in force_names(task, forces)}
        self.defaults = TASKS[task].rrls if compat == "rrls" else {}
        self.fixed = self.checked(parameters)
        self.given: dict[str, float | None] = {}
        self.schedules = self._schedules(schedule)
        self._courses: dict[str, Iterator[float]] = {}
        self._beginnings: dict[str, dict[str, Any]] = {}  # states of the schedules' streams at the start of the episode
        self._draws = stream(0)  # until seed()
        self._walks: dict[str, np.random.Generator] = {}
        self.values: dict[str, float] = {}
        self._assign({})

    @property
    def moving(self) -> bool:
        """Whether a parameter has a schedule in this episode."""
        return bool(self._courses)

    def seed(self, seed: int) -> None:
        """Seed all random streams: one for the draws, one for each parameter's schedule."""
        self._draws = stream(seed, "domain randomization")
        self._walks = {name: stream(seed, "parameter schedule", name) for name in self.schedules}

    def give(self, values: Values | None) -> None:
        """Set the given values for the next episode and later ones, replacing earlier ones."""
        self.given = self.checked(values)

    def restore(self, given: Values) -> None:
        """Give a copy the state of its original: the given values, and the model edited accordingly."""
        self.give(given)
        self._assign({})

    def begin_episode(self) -> None:
        """Choose the first values of an episode and edit the model. :meth:`seed` must have been called once."""
        named = {**self.fixed, **self.given}
        chosen: dict[str, float] = {}
        if self.randomize:
            # All are drawn even if some are not used, so that parameters do not affect each other.
            chosen = {name: float(self._draws.uniform(*span)) for name, span in self.ranges.items()}
        self._beginnings = {name: state_of(walk) for name, walk in self._walks.items()}
        self._courses = {
            name: schedule.values(self._span(name), self._walks[name])
            for name, schedule in self.schedules.items()
            if name not in named
        }
        self._assign(chosen | {name: next(course) for name, course in self._courses.items()})

    def advance(self) -> None:
        """Advance scheduled parameters by one step."""
        self.values.update({name: next(course) for name, course in self._courses.items()})
        self.physics.set(self.values)

    def hold(self, values: Values) -> None:
        """Set values from the next step to the end of the episode, overriding schedules."""
        checked = self.checked(values)
        for name, value in checked.items():
            self._courses.pop(name, None)
            self.values[name] = self._base(name) if value is None else value
        self.physics.set(self.values)

    def get_state(self) -> dict[str, Any]:
        """The current values and the state that determines the following ones, as plain JSON values."""
        walks = {
            name: self._beginnings[name] if name in self._courses else state_of(walk)
            for name, walk in self._walks.items()
        }
        return {
            "values": dict(self.values), "given": dict(self.given), "draws": state_of(self._draws), "walks": walks,
            "courses": list(self._courses),
        }  # fmt: skip

    def set_state(self, state: Mapping[str, Any], steps: int) -> None:
        """Restore a state that :meth:`get_state` returned in an episode after ``steps`` steps.

        A schedule is a generator whose position cannot be set, so schedules are advanced again from their streams'
        states at the start of the episode.
        """
        restore(self._draws, state["draws"])
        self._walks = {name: stream(0) for name in state["walks"]}
        for name, walk in self._walks.items():
            restore(walk, state["walks"][name])
        self._beginnings = {name: state["walks"][name] for name in self._walks}
        self._courses = {
            name: self.schedules[name].values(self._span(name), self._walks[name]) for name in state["courses"]
        }
        for course in self._courses.values():
            for _ in range(max(steps, 1)):
                next(course)
        self.given = dict(state["given"])
        self.values = dict(state["values"])
        self.physics.set(self.values)

    def checked(self, values: Values | None) -> dict[str, float | None]:
        """Check values and convert them to floats.

        Raises:
            UnknownId: the task has no such parameter; the message suggests the nearest.
            InvalidParameter: a value is not a finite number, not possible, or outside its range.
        """
        if values is None:
            return {}
        if not isinstance(values, Mapping):
            raise InvalidParameter(f"parameters must be a dict of names and numbers, not {values!r}.")
        return {name: self._checked(name, value) for name, value in values.items()}

    def _checked(self, name: str, value: Any) -> float | None:
        self._check_name(name)
        if value is None:
            return None
        number = _number(value)
        if not math.isfinite(number):
            raise InvalidParameter(f"{name} of Robust{self.task} must be a finite number or None, not {value!r}.")
        low, high = self.ranges.get(name, self.known[name].range)
        if abs(number) > MOST:
            raise InvalidParameter(f"{name}={number:g} is not possible: the maximum is {MOST:g}.")
        if number < self.known[name].lowest:
            raise InvalidParameter(f"{name}={number:g} is not possible: the minimum is {self.known[name].lowest:g}.")
        if self.check_range and not low <= number <= high and number not in (self.nominal[name], self._base(name)):
            raise InvalidParameter(
                f"{name}={number:g} is outside its range [{low:g}, {high:g}] in Robust{self.task} (its nominal value, "
                f"{self.nominal[name]:g}, is always accepted). Make the environment with check_range=False to allow it."
            )
        return number

    def _check_name(self, name: str) -> None:
        if name not in self.known:
            raise UnknownId(f"parameter of Robust{self.task}", str(name), self.known)

    def _base(self, name: str) -> float:
        return self.defaults.get(name, self.nominal[name])

    def _span(self, name: str) -> Span:
        return Span(*self.ranges.get(name, self.known[name].range), self.nominal[name])

    def _assign(self, chosen: dict[str, float]) -> None:
        named = {**self.fixed, **self.given}
        values = {name: self._base(name) for name in [*self.ranges, *self.defaults, *chosen]} | chosen
        values |= {name: self._base(name) if value is None else value for name, value in named.items()}
        self.values = values
        self.physics.set(values)

    def _schedules(self, schedule: Schedules | None) -> dict[str, Schedule]:
        if schedule is None:
            return {}
        if not isinstance(schedule, Mapping):
            schedule = {name: schedule for name in self.ranges if name not in self.fixed}
        found = {name: _schedule(entry) for name, entry in schedule.items()}
        for name, entry in found.items():
            self._check_name(name)
            if name in self.fixed:
                raise InvalidParameter(f"{name} cannot both follow a schedule and be fixed in parameters: drop one.")
            for point in entry.points():
                if not isinstance(point, str):
                    self._checked(name, point)
        return found


def _schedule(entry: str | Schedule) -> Schedule:
    if isinstance(entry, Schedule):
        return entry
    if not isinstance(entry, str):
        raise InvalidParameter(f"A schedule must be a Schedule or a name ({', '.join(SCHEDULES)}), not {entry!r}.")
    if entry not in SCHEDULES:
        raise UnknownId("schedule", entry, SCHEDULES)
    return SCHEDULES[entry]()


def _number(value: Any) -> float:
    """The value as a float, NaN if it is not a number. NumPy's scalars are numbers; strings and booleans are not."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan


def _check_choices(randomize: str | None, compat: str | None) -> None:
    if randomize is not None and not (isinstance(randomize, str) and randomize == "uniform"):
        raise InvalidParameter(f'randomize must be None or "uniform", not {randomize!r}.')
    if compat is not None and not (isinstance(compat, str) and compat == "rrls"):
        raise InvalidParameter(f'compat must be None or "rrls", not {compat!r}.')


def _check_forces(task: str, model: mujoco.MjModel, forces: Forces | None, known: Mapping[str, Any]) -> None:
    bodies = [model.body(index).name for index in range(1, model.nbody) if model.body(index).name]
    for name in force_names(task, forces):
        if known[name].body not in bodies:
            raise UnknownId(f"body of {task}", name.rsplit("_force_", 1)[0], bodies)
