"""The suite of convection cells: fluid, sensors, heaters, initial flow and size of the box."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from agentgym.contracts.environment import Convecting
from agentgym.errors import AskError, UnknownId
from agentgym.evaluation.conditions import Condition, Subject, Suite, require_once
from agentgym.evaluation.table import Scene

__all__ = ["Convection"]

PARTS = ("fluid", "sensors", "heaters", "start", "box")

# Factors of Ra and Pr; intensities of faults double.
RAYLEIGH = (0.25, 0.5, 0.75, 1.5, 2.0)
PRANDTL = (0.5, 0.75, 1.5, 2.0)
NOISE = (0.1, 0.2, 0.4)  # standard deviations of each entry
DROPOUT = (0.05, 0.1, 0.2)
DELAY = (1, 2, 4)  # actions
DEAD, STUCK = (1, 2, 3), (1, 2, 3)
LAG = (0.75, 1.5, 3.0)  # free-fall times; an action is held for 1.5
STARTS = ("two-pair", "one-pair", "random")
BOXES = (2, 3)  # multiples of the length


@dataclass(frozen=True)
class Convection(Suite):
    """Shifted Rayleigh and Prandtl numbers, worse sensors and heaters, unseen initial flows, and longer boxes.

    Episodes also have measures (columns of rows.csv and of the report's table of all conditions) that separate the
    time until a single pair of rolls remains from what control achieves within a state. Longer boxes have
    proportionally more heaters, and each heater's agent observes as much as before. Agents with a fixed observation
    size cannot act in them, and their rows report this.

    Args:
        parts: any of fluid, sensors, heaters, start and box.
    """

    name: ClassVar[str] = "convection"
    needs_scale: ClassVar[bool] = True

    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in self.parts:
            if part not in PARTS:
                raise UnknownId("part of convection", part, PARTS)
        require_once("parts of convection", self.parts)

    def conditions(self, subject: Subject) -> list[Condition]:
        """The conditions, by part and from mild to severe."""
        world = subject.probe.unwrapped
        if not isinstance(world, Convecting):
            raise AskError(
                f"The suite convection needs a convection cell, and {subject.env} is none: "
                "use --env agentgym/Convection-v0, or another suite."
            )
        return [condition for part in self.parts for condition in getattr(self, f"_{part}")(subject, world.cell)]

    def _fluid(self, subject: Subject, cell: Any) -> Iterator[Condition]:
        for factor in RAYLEIGH:
            value = factor * cell.rayleigh
            yield _changed(subject, "Fluid", "Rayleigh number", value, rayleigh=value)
        for factor in PRANDTL:
            value = factor * cell.prandtl
            yield _changed(subject, "Fluid", "Prandtl number", value, prandtl=value)

    def _sensors(self, subject: Subject, cell: Any) -> Iterator[Condition]:
        scale = np.asarray(subject.observation_scale).tolist()
        for deviation in NOISE:
            effect = {"type": "ObservationNoise", "std": deviation, "scale": scale}
            yield _perturbed(subject, "noise (std, in obs. stds)", deviation, effect)
        for rate in DROPOUT:
            yield _perturbed(subject, "dropout (rate an entry)", rate, {"type": "ObservationDropout", "rate": rate})
        for steps in DELAY:
            effect = {"type": "ObservationDelay", "steps": steps, "before": "first"}
            yield _perturbed(subject, "delay (actions)", steps, effect)

    def _heaters(self, subject: Subject, cell: Any) -> Iterator[Condition]:
        for count in DEAD:
            yield _changed(subject, "Heaters", "dead heaters", count, dead=count)
        for count in STUCK:
            yield _changed(subject, "Heaters", "stuck heaters", count, stuck=count)
        for time in LAG:
            yield _changed(subject, "Heaters", "lag (free-fall times)", time, lag=time)

    def _start(self, subject: Subject, cell: Any) -> Iterator[Condition]:
        for start in STARTS:
            scene = Scene("Start", "flow at the start", "matrix", {"test": start})
            yield _condition(subject, f"start: {start}", scene, start=start)

    def _box(self, subject: Subject, cell: Any) -> Iterator[Condition]:
        for times in BOXES:
            scene = Scene("Box", "length of the box", "matrix", {"test": f"{times * cell.length / math.pi:g} π"})
            yield _condition(
                subject, f"box: {times} times as long", scene, length=times * cell.length, heaters=times * cell.heaters,
                columns=times * cell.columns, window=cell.seen_heaters,
            )  # fmt: skip


def _condition(subject: Subject, name: str, scene: Scene, **settings: Any) -> Condition:
    return Condition(name, scene, subject.env, {**subject.env_kwargs, **settings})


def _changed(subject: Subject, tab: str, panel: str, value: float, **settings: Any) -> Condition:
    scene = Scene(tab, panel, "curve", {"intensity": float(value)})
    return _condition(subject, f"{panel} {value:g}", scene, **settings)


def _perturbed(subject: Subject, panel: str, value: float, effect: dict[str, Any]) -> Condition:
    scene = Scene("Sensors", panel, "curve", {"intensity": float(value)})
    return subject.condition(f"sensors: {panel} {value:g}", scene, perturbations=(effect,))
