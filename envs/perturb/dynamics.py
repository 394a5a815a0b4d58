"""Perturbations of the dynamics of MuJoCo tasks: their settings, and their edits of the compiled model.

Every effect scales values of the model in place, for the whole episode. The model decides whether an effect would have
no influence (see the card). MuJoCo is imported only if such an effect is used.
"""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, Literal

import numpy as np

from agentgym.envs.perturb.base import Perturbation, check_number

__all__ = ["ActuatorGain", "BodyMass", "ContactFriction", "DynamicsPerturbation", "Gravity", "JointDamping"]


@dataclass(frozen=True)
class DynamicsPerturbation(Perturbation):
    """Base of effects that scale values of a MuJoCo model.

    Args:
        scale: factor on the model's values.
    """

    changes: ClassVar[Literal["dynamics"]] = "dynamics"
    fields: ClassVar[tuple[str, ...]] = ()  # fields of mujoco.MjModel, scaled as a whole unless edit() is overridden
    refresh: ClassVar[bool] = False  # whether derived constants depend on them, which requires mj_setConst

    scale: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, "scale", 0.0, 1e6)

    def edit(self, model: Any) -> None:
        """Scale the ``mujoco.MjModel`` in place."""
        for field in self.fields:
            attrgetter(field)(model)[...] *= self.scale

    def dead(self, model: Any) -> str | None:
        """Why the effect would have no influence on this model, or None."""
        if not np.any(attrgetter(self.fields[0])(model)):
            return f"its {self.fields[0]} is zero throughout"
        return None


@dataclass(frozen=True)
class Gravity(DynamicsPerturbation):
    """Gravity (opt.gravity) times ``scale``; 0 gives weightlessness."""

    fields = ("opt.gravity",)

    def dead(self, model: Any) -> str | None:
        """Gravity may be zero, or act along no joint (a swimmer in the horizontal plane)."""
        import mujoco

        if reason := super().dead(model):
            return reason
        data, random = mujoco.MjData(model), np.random.default_rng(0)
        for _ in range(3):  # several poses, since e.g. a pendulum that stands upright has no torque
            mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 0.3)
            mujoco.mj_forward(model, data)
            if np.abs(data.qfrc_bias).max() > 1e-9 * np.abs(model.body_mass).sum():  # at rest this is only weight
                return None
        return "no joint of it feels its weight"


@dataclass(frozen=True)
class BodyMass(DynamicsPerturbation):
    """Mass and rotational inertia of every body times ``scale`` (> 0), as for another density; calls mj_setConst."""

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

    All geoms are scaled, because a contact uses the greater of its two geoms' values, so scaling only the floor may
    have no effect. Torsional and rolling friction do not change.
    """

    fields = ("geom_friction", "pair_friction")

    def edit(self, model: Any) -> None:
        """Scale the columns of sliding friction: one of a geom, two (both tangents) of a pair."""
        model.geom_friction[:, 0] *= self.scale
        model.pair_friction[:, :2] *= self.scale

    def dead(self, model: Any) -> str | None:
        """There is no friction if no two geoms can touch, or contacts are frictionless (condim 1)."""
        kinds, affinities = model.geom_contype, model.geom_conaffinity
        touching = np.bitwise_and.outer(kinds, affinities)
        touching |= touching.T
        np.fill_diagonal(touching, 0)
        rubbing = np.maximum.outer(model.geom_condim, model.geom_condim)[touching != 0] > 1
        return None if rubbing.any() or model.npair else "no two of its geoms can touch with friction"


@dataclass(frozen=True)
class ActuatorGain(DynamicsPerturbation):
    """Strength of every actuator (actuator_gear) times ``scale``; 0 disables the motors."""

    fields = ("actuator_gear",)
    refresh = True
