"""Uncertainty sets, force sets and published defaults of the six tasks, with their sources.

Uncertainty sets: Tanabe et al., "Max-Min Off-Policy Actor-Critic Method Focusing on Worst-Case Robustness" (M2TD3,
arXiv 2211.03413), as tabulated in Zouitine et al., IWOCS (arXiv 2410.06212, Table 7) and released in RRLS
(arXiv 2406.08406, repository SuReLI/RRLS). Ranges are absolute: kilograms and friction coefficients.
Force sets: Pinto et al., RARL (arXiv 1703.02702), bodies and +-3 N as released in RRLS.
The values beyond the sets (gravity, slope, joints, gear) and their ranges are this package's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agentgym.contracts.settings import finite_number
from agentgym.envs.robust.parameters import (
    ActuatorGear,
    BodyForce,
    BodyMass,
    Friction,
    Gravity,
    JointArmature,
    JointDamping,
    JointFriction,
    Parameter,
    Range,
    Slope,
)
from agentgym.errors import InvalidParameter, UnknownId

__all__ = ["TASKS", "Compat", "Forces", "TaskPreset", "force_names", "known_parameters", "uncertainty_set"]

Compat = Literal["rrls"]
Forces = Literal["rarl"] | Mapping[str, float]

RARL_BOUND = 3.0  # N per component


@dataclass(frozen=True)
class TaskPreset:
    """The uncertain parameters of one task.

    Attributes:
        sets: ranges of the largest set; the 1-parameter set has the first of them, the 2-parameter set the first two.
        sets_1d: the 1-parameter set, if its range differs.
        feet: geoms that touch the floor, for the contact friction; empty if there are none.
        rarl: bodies pushed by RARL's adversary.
        planar: whether the robot moves only in the x-z plane, in which a force along y has no effect.
        bodies: MuJoCo's names of bodies that have other names here.
        rrls: values that RRLS's environments set at construction and that differ from the compiled model.
    """

    sets: dict[str, Range]
    rarl: tuple[str, ...]
    planar: bool
    feet: tuple[str, ...] = ()
    sets_1d: dict[str, Range] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    rrls: dict[str, float] = field(default_factory=dict)


TASKS: dict[str, TaskPreset] = {
    "Ant": TaskPreset(
        sets={
            "torso_mass": (0.1, 3.0),
            "front_left_leg_mass": (0.01, 3.0),
            "front_right_leg_mass": (0.01, 3.0),
        },
        rarl=("torso", "front_left_leg", "front_right_leg"),
        planar=False,
        feet=("left_ankle_geom", "right_ankle_geom", "third_ankle_geom", "fourth_ankle_geom"),
    ),
    "HalfCheetah": TaskPreset(
        sets={"friction": (0.1, 4.0), "torso_mass": (0.1, 7.0), "back_thigh_mass": (0.1, 3.0)},
        sets_1d={"friction": (0.1, 3.0)},
        rarl=("torso", "back_foot", "front_foot"),
        planar=True,
        feet=("bfoot", "ffoot"),
        bodies={
            "back_thigh": "bthigh",
            "back_shin": "bshin",
            "back_foot": "bfoot",
            "front_thigh": "fthigh",
            "front_shin": "fshin",
            "front_foot": "ffoot",
        },
    ),
    "Hopper": TaskPreset(
        sets={"friction": (0.1, 3.0), "torso_mass": (0.1, 3.0), "thigh_mass": (0.1, 4.0)},
        rarl=("foot",),
        planar=True,
        feet=("foot_geom",),
        rrls={"friction": 0.7},
    ),
    "HumanoidStandup": TaskPreset(
        sets={"torso_mass": (0.1, 16.0), "right_foot_mass": (0.1, 8.0), "left_thigh_mass": (0.1, 5.0)},
        rarl=("torso", "right_thigh", "left_foot"),
        planar=False,
        feet=("right_foot", "left_foot"),
    ),
    "InvertedPendulum": TaskPreset(
        sets={"pole_mass": (1.0, 31.0), "cart_mass": (1.0, 11.0)},
        rarl=("pole",),
        planar=True,
        rrls={"pole_mass": 10.47197551196598, "cart_mass": 5.018591641363306},
    ),
    "Walker2d": TaskPreset(
        sets={"friction": (0.1, 4.0), "torso_mass": (0.1, 5.0), "thigh_mass": (0.1, 6.0)},
        rarl=("leg", "left_foot"),
        planar=True,
        feet=("foot_geom", "foot_left_geom"),
        bodies={"left_thigh": "thigh_left", "left_leg": "leg_left", "left_foot": "foot_left"},
    ),
}

BEYOND_THE_SETS: dict[str, Parameter] = {
    "gravity": Gravity((4.905, 14.715)),
    "slope": Slope((-0.2, 0.2)),
    "joint_damping": JointDamping((0.2, 5.0)),
    "joint_friction": JointFriction((0.0, 1.0)),
    "joint_armature": JointArmature((0.0, 1.0)),
    "actuator_gear": ActuatorGear((0.5, 1.5)),
}
FRICTION_BEYOND_THE_SETS = (0.1, 4.0)


def uncertainty_set(task: str, name: str | None) -> dict[str, Range]:
    """The ranges of a set, "1d", "2d" or "3d"; None selects the task's largest.

    Raises:
        UnknownId: the task has no such set (InvertedPendulum has no "3d").
    """
    preset = TASKS[task]
    names = [f"{count}d" for count in range(1, len(preset.sets) + 1)]
    if name is None:
        name = names[-1]
    if name not in names:
        raise UnknownId(f"uncertainty set of {task}", str(name), names)
    if name == "1d" and preset.sets_1d:
        return dict(preset.sets_1d)
    return dict(list(preset.sets.items())[: names.index(name) + 1])


def known_parameters(task: str, compat: Compat | None, forces: Forces | None) -> dict[str, Parameter]:
    """All parameters of a task: those of the largest set, those beyond the sets, and forces."""
    preset = TASKS[task]
    floor = "floor" if preset.feet else ""
    # RRLS edits only the floor, except in HalfCheetah, where it edits every geom.
    everywhere = compat is None or task == "HalfCheetah"
    known: dict[str, Parameter] = {}
    for name, span in preset.sets.items():
        if name == "friction":
            known[name] = Friction(span, floor, preset.feet, everywhere)
        else:
            known[name] = BodyMass(span, _body(preset, name.removesuffix("_mass")), with_inertia=compat is None)
    if preset.feet and "friction" not in known:
        known["friction"] = Friction(FRICTION_BEYOND_THE_SETS, floor, preset.feet, everywhere)
    return {**known, **BEYOND_THE_SETS, **_forces(preset, "rarl"), **_forces(preset, forces)}


def force_names(task: str, forces: Forces | None) -> list[str]:
    """The names of the force components that ``forces`` adds to the uncertainty set."""
    return list(_forces(TASKS[task], forces))


def _body(preset: TaskPreset, name: str) -> str:
    return preset.bodies.get(name, name)


def _forces(preset: TaskPreset, forces: Forces | None) -> dict[str, Parameter]:
    """One parameter ``BODY_force_AXIS`` for each body and each axis along which it can move."""
    if forces is None:
        return {}
    if isinstance(forces, str) and forces == "rarl":
        bounds: Mapping[str, float] = dict.fromkeys(preset.rarl, RARL_BOUND)
        axes = "xz" if preset.planar else "xy"
    elif isinstance(forces, Mapping):
        bounds = {
            str(body): finite_number(f"The positive bound of the forces on {body} (N)", bound, 0.0, above=True)
            for body, bound in forces.items()
        }
        axes = "xz" if preset.planar else "xyz"
    else:
        raise InvalidParameter(f'forces must be None, "rarl" or a dict of body and newtons, not {forces!r}.')
    return {
        f"{body}_force_{axis}": BodyForce((-bound, bound), _body(preset, body), "xyz".index(axis))
        for body, bound in bounds.items()
        for axis in axes
    }
