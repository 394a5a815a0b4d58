"""Physics that changes within an episode: kicks of the state, and parameters that drift.

These are STORI's types 2.1 and 2.2 (arXiv 2509.01793) for MuJoCo tasks and Gymnasium's classic control. The settings
stand here; :mod:`agentgym.envs.perturb.physics_env` applies them.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from agentgym.envs.perturb.base import Perturbation, check_choice, check_number, check_whole

__all__ = ["ParameterDrift", "PhysicsPerturbation", "StateKick"]


@dataclass(frozen=True)
class PhysicsPerturbation(Perturbation):
    """Base of effects that change the physics within an episode."""

    changes: ClassVar[Literal["dynamics"]] = "dynamics"


@dataclass(frozen=True)
class StateKick(PhysicsPerturbation):
    """At some steps, before the physics, every velocity of the state gets a random kick: v + size u ξ.

    ξ are independent standard normals. The unit u is 1 m/s or 1 rad/s, and for the mountain cars 0.01, a seventh of
    their largest speed. A kick draws from the effect's own generator.

    Args:
        size: of the kick.
        probability: of a kick at a step.
        start: the first step at which there can be one, counted from 0 in every episode.
    """

    size: float = 1.0
    probability: float = 0.02
    start: int = 0

    def __post_init__(self) -> None:
        check_number(self, "size", 0.0, 1e3)
        check_number(self, "probability", 0.0, 1.0)
        check_whole(self, "start", 0)


@dataclass(frozen=True)
class ParameterDrift(PhysicsPerturbation):
    """A parameter of the physics changes within the episode: its value times 1 + amount c(t), where c is the concept.

    Every episode starts with c = 0. The clock counts steps of the episode.

    Args:
        parameter: "gravity", "mass", "damping", "friction" or "gear" (the motors' strength) of MuJoCo tasks; "gravity",
            "mass", "length" or "gear" of those classic control tasks that have them.
        amount: relative change, above -1.
        schedule: "sudden": c = 1 from step ``period`` on. "cyclic": c = 0 and c = 1 take turns, ``period`` steps each.
            "gradual": from step ``period`` on c grows linearly, and is 1 after ``width`` steps.
        period: steps of a concept.
        width: steps of a gradual change.
    """

    parameter: Literal["gravity", "mass", "damping", "friction", "gear", "length"] = "gravity"
    amount: float = 0.5
    schedule: Literal["sudden", "cyclic", "gradual"] = "sudden"
    period: int = 100
    width: int = 100

    def __post_init__(self) -> None:
        check_choice(self, "parameter", ("gravity", "mass", "damping", "friction", "gear", "length"))
        check_number(self, "amount", -1.0, 1e3, above=True)
        check_choice(self, "schedule", ("sudden", "cyclic", "gradual"))
        check_whole(self, "period", 1)
        check_whole(self, "width", 1)

    def concept(self, step: int) -> float:
        """c at a step, from 0 to 1."""
        if self.schedule == "cyclic":
            return float(step // self.period % 2)
        if self.schedule == "sudden" or step < self.period:
            return float(step >= self.period)
        return min((step - self.period + 1) / self.width, 1.0)

    def scale(self, step: int) -> float:
        """The factor on the parameter at a step."""
        return 1.0 + self.amount * self.concept(step)
