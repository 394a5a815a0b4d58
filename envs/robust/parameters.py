"""The uncertain parameters, and the arrays of a compiled MuJoCo model that each one edits.

Edits start from a model whose arrays are nominal (see dynamics.py), so they may scale or add
in place. Masses and geometry are those of Gymnasium's v5 models, whose densities are uniform.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np
from typing_extensions import override

__all__ = [
    "ActuatorGear",
    "BodyForce",
    "BodyMass",
    "Friction",
    "Gravity",
    "JointArmature",
    "JointDamping",
    "JointFriction",
    "Parameter",
    "Range",
    "Slope",
]

Range = tuple[float, float]


@dataclass(frozen=True)
class Parameter(ABC):
    """Base of physical parameters.

    Attributes:
        range: lowest and highest value accepted without ``check_range=False``.
        fields: the arrays of ``mujoco.MjModel`` written by :meth:`edit`.
        lowest: the smallest physically possible value, independent of the range.
    """

    range: Range
    fields: ClassVar[tuple[str, ...]] = ()
    lowest: ClassVar[float] = 0.0

    @property
    def constants(self) -> bool:
        """Whether MuJoCo's derived constants (inverse weights, subtree masses) depend on it."""
        return False

    @abstractmethod
    def nominal(self, model: mujoco.MjModel) -> float:
        """The value in the compiled model."""

    @abstractmethod
    def edit(self, model: mujoco.MjModel, value: float) -> None:
        """Write ``value`` into a model whose arrays are nominal."""


@dataclass(frozen=True)
class BodyMass(Parameter):
    """Mass of one body in kg. Its inertia scales with it (uniform density, same shape).

    ``with_inertia=False`` changes only the mass, and leaves inertia and derived constants as they were, as RRLS
    does.
    """

    body: str
    with_inertia: bool = True
    fields: ClassVar[tuple[str, ...]] = ("body_mass", "body_inertia")
    lowest: ClassVar[float] = 1e-6

    @override
    @property
    def constants(self) -> bool:
        return self.with_inertia

    @override
    def nominal(self, model: mujoco.MjModel) -> float:
        return float(model.body(self.body).mass[0])

    @override
    def edit(self, model: mujoco.MjModel, value: float) -> None:
        body = model.body(self.body)
        if self.with_inertia:
            body.inertia[:] *= value / body.mass[0]
        body.mass[0] = value


@dataclass(frozen=True)
class Friction(Parameter):
    """Sliding friction coefficient between feet and floor.

    MuJoCo uses the larger coefficient of a contact's two geoms, so editing only the floor has no effect until the
    floor exceeds the foot (2.0 in Hopper, 1.9 in Walker2d). ``everywhere`` writes the value into all geoms, so that
    every contact has exactly this value.
    """

    floor: str
    feet: tuple[str, ...]
    everywhere: bool = True
    fields: ClassVar[tuple[str, ...]] = ("geom_friction",)

    @override
    def nominal(self, model: mujoco.MjModel) -> float:
        return self.of_contact(model) if self.everywhere else float(model.geom(self.floor).friction[0])

    def of_contact(self, model: mujoco.MjModel) -> float:
        """The sliding friction of a contact between the floor and a foot in this model."""
        return max(float(model.geom(name).friction[0]) for name in (self.floor, *self.feet))

    @override
    def edit(self, model: mujoco.MjModel, value: float) -> None:
        if self.everywhere:
            model.geom_friction[:, 0] = value
        else:
            model.geom(self.floor).friction[0] = value


@dataclass(frozen=True)
class Gravity(Parameter):
    """Gravitational acceleration in m/s^2, pointing down."""

    fields: ClassVar[tuple[str, ...]] = ("opt.gravity",)

    @override
    def nominal(self, model: mujoco.MjModel) -> float:
        return -float(model.opt.gravity[2])

    @override
    def edit(self, model: mujoco.MjModel, value: float) -> None:
        model.opt.gravity[:] *= value / self.nominal(model)


@dataclass(frozen=True)
class Slope(Parameter):
    """Incline of the ground along x in radians, positive uphill.

    Gravity is rotated while the ground stays, so heights and angles remain relative to the ground.
    """

    fields: ClassVar[tuple[str, ...]] = ("opt.gravity",)
    lowest: ClassVar[float] = -math.pi / 2

    @override
    def nominal(self, model: mujoco.MjModel) -> float:
        return 0.0

    @override
    def edit(self, model: mujoco.MjModel, value: float) -> None:
        down = -model.opt.gravity[2]
        model.opt.gravity[:] = (-down * math.sin(value), 0.0, -down * math.cos(value))


@dataclass(frozen=True)
class JointDamping(Parameter):
    """Factor on the viscous damping of every joint with damping."""

    fields: ClassVar[tuple[str, ...]] = ("dof_damping",)

    @override
    def nominal(self, model: mujoco.MjModel) -> float:
        return 1.0

    @override
    def edit(self, model: mujoco.MjModel, value: float) -> None:
        model.dof_damping[:] *= value


def _driven(model: mujoco.MjModel) -> np.ndarray:
    """Degrees of freedom with an actuator (all of them hinges or slides in the six tasks)."""
    return model.jnt_dofadr[model.actuator_trnid[:, 0]]


@dataclass(frozen=True)
class JointFriction(Parameter):
    """Dry friction added to every actuated joint, in N m (N for slides)."""

    fields: ClassVar[tuple[str, ...]] = ("dof_frictionloss",)

    @override
    def nominal(self, model: mujoco.MjModel) -> float:
        return 0.0

    @override
    def edit(self, model: mujoco.MjModel, value: float) -> None:
        model.dof_frictionloss[_driven(model)] += value


@dataclass(frozen=True)
class JointArmature(Parameter):
    """Rotor inertia added to every actuated joint, in kg m^2 (kg for slides)."""

    fields: ClassVar[tuple[str, ...]] = ("dof_armature",)

    @override
    @property
    def constants(self) -> bool:
        return True

    @override
    def nominal(self, model: mujoco.MjModel) -> float:
        return 0.0

    @override
    def edit(self, model: mujoco.MjModel, value: float) -> None:
        model.dof_armature[_driven(model)] += value


@dataclass(frozen=True)
class ActuatorGear(Parameter):
    """Factor on the torque (or force) of every actuator for the same action."""

    fields: ClassVar[tuple[str, ...]] = ("actuator_gear",)

    @override
    @property
    def constants(self) -> bool:
        return True

    @override
    def nominal(self, model: mujoco.MjModel) -> float:
        return 1.0

    @override
    def edit(self, model: mujoco.MjModel, value: float) -> None:
        model.actuator_gear[:] *= value


@dataclass(frozen=True)
class BodyForce(Parameter):
    """External force in N on a body's centre of mass along a world axis (0, 1, 2 for x, y, z).

    It is part of the simulation's state, not of the model: dynamics.py writes it before every step.
    """

    body: str
    axis: int
    lowest: ClassVar[float] = -math.inf

    @override
    def nominal(self, model: mujoco.MjModel) -> float:
        return 0.0

    @override
    def edit(self, model: mujoco.MjModel, value: float) -> None:
        pass
