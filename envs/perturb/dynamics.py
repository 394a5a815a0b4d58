"""Other physics on any MuJoCo task: settings, and what each edits in the compiled model.

Every effect scales the model's own values in place, for the whole episode. What stays consistent and what would be
dead is checked against the model (see the card). MuJoCo is imported only when such an effect is used.
"""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, Literal

import numpy as np

from agentgym.envs.perturb.base import Perturbation, check_number

__all__ = ["ActuatorGain", "BodyMass", "ContactFriction", "DynamicsPerturbation", "Gravity", "JointDamping"]


@dataclass(frozen=True)
class DynamicsPerturbation(Perturbation):
    """Scale some of a MuJoCo model's values.

    Args:
        scale: factor on the values that the model has.
    """

    changes: ClassVar[Literal["dynamics"]] = "dynamics"
    fields: ClassVar[tuple[str, ...]] = ()  # of mujoco.MjModel, each scaled as a whole unless edit() says otherwise
    refresh: ClassVar[bool] = False  # whether derived constants depend on them, so that mj_setConst must be called

    scale: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, "scale", 0.0, 1e6)

    def edit(self, model: Any) -> None:
        """Scale the ``mujoco.MjModel`` in place."""
        for field in self.fields:
            attrgetter(field)(model)[...] *= self.scale

    def dead(self, model: Any) -> str | None:
        """Why the effect would change nothing in this model, or None."""
        if not np.any(attrgetter(self.fields[0])(model)):
            return f"its {self.fields[0]} is zero throughout"
        return None


@dataclass(frozen=True)
class Gravity(DynamicsPerturbation):
    """Gravity (opt.gravity) times ``scale``; 0 is weightlessness."""

    fields = ("opt.gravity",)

    def dead(self, model: Any) -> str | None:
        """Gravity may be zero, or pull along no joint (a swimmer in the horizontal plane)."""
        import mujoco

        if reason := super().dead(model):
            return reason
        data, random = mujoco.MjData(model), np.random.default_rng(0)
        for _ in range(3):  # some poses: a pendulum that stands upright feels no torque either
            mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 0.3)
            mujoco.mj_forward(model, data)
            if np.abs(data.qfrc_bias).max() > 1e-9 * np.abs(model.body_mass).sum():  # at rest, all of it is weight
                return None
        return "no joint of it feels its weight"


@dataclass(frozen=True)
class BodyMass(DynamicsPerturbation):
    """Mass and rotational inertia of every body times ``scale`` (> 0), as for another density; mj_setConst follows."""

    fields = ("body_mass", "body_inertia")
    refresh = True

    def __post_init__(self) -> None:
        check_number(self, "scale", 0.0, 1e6, above=True)


@dataclass(frozen=True)
class JointDamping(DynamicsPerturbation):
    """Viscous damping of every joint (dof_damping) times ``scale``."""

    fields = ("dof_damping",)


@dataclass(frozen=True)
class ContactFriction(DynamicsPerturbation):
    """Sliding friction of every geom, and of explicit contact pairs, times ``scale``.

    All geoms are scaled because a contact takes the greater of the two geoms' values: scaling the floor alone would not
    reach it. Torsional and rolling friction stay.
    """

    fields = ("geom_friction", "pair_friction")

    def edit(self, model: Any) -> None:
        """Scale the sliding columns: one of a geom, two (both tangents) of a pair."""
        model.geom_friction[:, 0] *= self.scale
        model.pair_friction[:, :2] *= self.scale

    def dead(self, model: Any) -> str | None:
        """There is nothing to scale where no two geoms can touch, or contacts are frictionless (condim 1)."""
        kinds, affinities = model.geom_contype, model.geom_conaffinity
        touching = np.bitwise_and.outer(kinds, affinities)
        touching |= touching.T
        np.fill_diagonal(touching, 0)
        rubbing = np.maximum.outer(model.geom_condim, model.geom_condim)[touching != 0] > 1
        return None if rubbing.any() or model.npair else "no two of its geoms can touch with friction"


@dataclass(frozen=True)
class ActuatorGain(DynamicsPerturbation):
    """Strength of every actuator (actuator_gear) times ``scale``; 0 cuts the motors."""

    fields = ("actuator_gear",)
    refresh = True
