"""The suite of parameter grids over an environment's uncertainty set."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agentgym.contracts.environment import Uncertain
from agentgym.errors import AskError, UnknownId
from agentgym.evaluation.conditions import Condition, Subject, Suite, require_once
from agentgym.evaluation.table import Scene

__all__ = ["ParameterGrid"]


MOST_CELLS = 1_000_000


@dataclass(frozen=True)
class ParameterGrid(Suite):
    """A grid over the uncertainty set, one condition per cell.

    It offers both published conventions, because the worst cell is often the last one: M2TD3 (arXiv 2211.03413)
    evaluates both ends of each range, RRLS (arXiv 2406.08406) omits the upper ends.

    Args:
        points: grid points per parameter.
        endpoint: whether the grid includes the upper ends (M2TD3) or not (RRLS).
        parameters: one to three parameters to vary; by default the environment's whole set.
    """

    name: ClassVar[str] = "parameter-grid"

    points: int = 10
    endpoint: bool = True
    parameters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points < 2:
            raise AskError(f"parameter-grid: points is {self.points}; a grid needs at least 2 per parameter.")
        require_once("parameters of parameter-grid", self.parameters)

    def conditions(self, subject: Subject) -> list[Condition]:
        """One condition per cell, the last parameter varying fastest."""
        world = subject.probe.unwrapped
        ranges = world.parameter_ranges if isinstance(world, Uncertain) else {}
        if not ranges:
            raise AskError(
                f"parameter-grid varies an environment's uncertainty parameters, and {subject.env} has none. "
                "Evaluate on a Robust environment (agentgym list envs) with --env, or use another suite."
            )
        names = list(self.parameters or ranges)
        for name in names:
            if name not in ranges:
                raise UnknownId(f"uncertainty parameter of {subject.env}", name, ranges)
        if len(names) > 3:
            raise AskError(
                f"parameter-grid needs one to three parameters, not {len(names)}: choose with parameters=a+b."
            )
        if self.points ** len(names) > MOST_CELLS:
            raise AskError(
                f"parameter-grid: {self.points} points of each of {len(names)} parameters are "
                f"{self.points ** len(names)} cells; at most {MOST_CELLS} are allowed. Use fewer of either."
            )
        axes = [self._axis(*ranges[name]) for name in names]
        panel = " × ".join(names)
        return [self._cell(subject, panel, dict(zip(names, cell, strict=True))) for cell in itertools.product(*axes)]

    def _axis(self, low: float, high: float) -> list[float]:
        return np.linspace(low, high, self.points, endpoint=self.endpoint).tolist()

    def _cell(self, subject: Subject, panel: str, values: dict[str, float]) -> Condition:
        name = ", ".join(f"{parameter}={value:.6g}" for parameter, value in values.items())
        scene = Scene("Parameter grid", panel, "grid", dict(values))
        return subject.condition(name, scene, options={"parameters": values})
