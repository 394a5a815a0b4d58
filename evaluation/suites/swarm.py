"""What goes wrong in a swarm: its sensors, its vehicles, its members, the air, the duct."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from agentgym.contracts.environment import Swarming
from agentgym.errors import AskError, UnknownId
from agentgym.evaluation.conditions import Condition, Subject, Suite, require_once
from agentgym.evaluation.table import Scene

__all__ = ["SwarmSuite"]

# Part, what the panel is called, the setting, its values from mild to severe
CURVES: tuple[tuple[str, str, str, tuple[float, ...]], ...] = (
    ("sensors", "position noise (std, spacings)", "noise", (0.05, 0.1, 0.2)),
    ("sensors", "sensing range (spacings)", "sensing", (4.0, 3.0, 2.4)),
    ("vehicles", "lag (h / c0)", "lag", (0.25, 0.5, 1.0, 2.0, 4.0)),
    ("vehicles", "delay (steps)", "delay", (1, 2, 4)),
    ("vehicles", "command hold (steps)", "hold", (2, 3, 4)),
    ("members", "faulty agents (share)", "faulty", (0.05, 0.1, 0.2)),
    ("members", "adversarial agents (share)", "adversarial", (0.02, 0.05, 0.1)),
    ("members", "dropout (share an episode)", "dropout", (0.1, 0.2, 0.4)),
    ("air", "wind (std, 0.1 c0^2 / h)", "wind", (0.25, 0.5, 1.0)),
    ("duct", "back pressure", "back_pressure", (0.95, 0.85, 0.6)),
    ("duct", "half-height of the throat", "throat", (7.0, 6.5, 5.5)),
)
PARTS = tuple(dict.fromkeys(curve[0] for curve in CURVES))


@dataclass(frozen=True)
class SwarmSuite(Suite):
    """Worse sensors, slower vehicles, failing members, wind, another duct or back pressure.

    An episode's measures (columns of rows.csv) have transit time, throughput, collisions, effort and the errors of the
    flow against the reference of the changed duct.

    Args:
        parts: which of sensors, vehicles, members, air and duct.
    """

    name: ClassVar[str] = "swarm"

    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in self.parts:
            if part not in PARTS:
                raise UnknownId("part of swarm", part, PARTS)
        require_once("parts of swarm", self.parts)

    def conditions(self, subject: Subject) -> list[Condition]:
        """Each curve's conditions from mild to severe."""
        if not isinstance(subject.probe.unwrapped, Swarming):
            raise AskError(
                f"The suite swarm varies a swarm, and {subject.env} is none: use --env agentgym/Swarm-v0, or another "
                "suite."
            )
        return list(self._changed(subject))

    def _changed(self, subject: Subject) -> Iterator[Condition]:
        for part, panel, setting, values in CURVES:
            if part in self.parts:
                for value in values:
                    scene = Scene(part.capitalize(), panel, "curve", {"intensity": float(value)})
                    changes: dict[str, Any] = {setting: value}
                    if setting == "lag":
                        changes["vehicle"] = "acceleration"
                    kwargs = {**subject.env_kwargs, **changes}
                    yield Condition(f"{panel} {value:g}", scene, subject.env, kwargs)
