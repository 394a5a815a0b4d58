"""The single robust environments: Gymnasium's v5 tasks with uncertain parameters."""

import copy
import inspect
import math
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.envs.mujoco.humanoidstandup_v5 import HumanoidStandupEnv
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv
from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv
from gymnasium.utils import EzPickle

from agentgym.contracts.finite import is_finite
from agentgym.envs.robust.arguments import checked_arguments, checked_body
from agentgym.envs.robust.batched_tasks import JUDGES
from agentgym.envs.robust.observing import Observe, Observing
from agentgym.envs.robust.parameters import Range
from agentgym.envs.robust.presets import Compat, Forces
from agentgym.envs.robust.uncertainty import Schedules, Uncertainty, Values
from agentgym.errors import InvalidAction, InvalidParameter
from agentgym.seeding import entropy, restore, state_of
from agentgym.vector.resets import check_options, seed_of_one

__all__ = [
    "RobustAntEnv",
    "RobustEnv",
    "RobustHalfCheetahEnv",
    "RobustHopperEnv",
    "RobustHumanoidStandupEnv",
    "RobustInvertedPendulumEnv",
    "RobustWalker2dEnv",
]

_INTEGRATION = mujoco.mjtState.mjSTATE_INTEGRATION.value  # time, positions, velocities, controls, warm start, forces
# After any of these warnings MuJoCo has silently reset the state.
_STATE_LOST = slice(mujoco.mjtWarning.mjWARN_BADQPOS.value, mujoco.mjtWarning.mjWARN_BADQACC.value + 1)


class RobustEnv(MujocoEnv, EzPickle):
    """
    ## Description

    A MuJoCo task of Gymnasium (version 5 of Ant, HalfCheetah, Hopper, HumanoidStandup, InvertedPendulum or Walker2d)
    whose physical parameters are uncertain: masses and friction of the published sets (M2TD3, arXiv 2211.03413;
    IWOCS, arXiv 2410.06212, Table 7; RRLS, arXiv 2406.08406), external forces (RARL, arXiv 1703.02702), and gravity,
    slope, joint and actuator properties. They are set at construction or reset, drawn for each episode, or changed
    within one.

    At nominal parameters the environment is bit-equal to Gymnasium's. Changes are consistent: a body's inertia scales
    with its mass, MuJoCo's derived constants are refreshed, and a friction value is the friction of the
    contact. One compiled model is edited in place, always starting from its saved nominal arrays.

    ## Action Space

    That of the v5 task. An action with NaN, infinity or another shape raises :class:`agentgym.errors.InvalidAction`.

    ## Observation Space

    That of the v5 task, without the parameters. ``observe="parameters"`` adds the positions of the set's parameters,
    from -1 (lowest value) to 1 (highest), and ``observe="transition"`` the previous observation and action, as in
    Oracle-TC and Stacked-TC of TC-RMDP (arXiv 2406.08395). HumanoidStandup's default observation nevertheless contains
    the masses (in ``cinert``): pass ``include_cinert_in_observation=False`` and ``include_cvel_in_observation=False``
    to hide them.

    ## Rewards

    Those of the v5 task. A step in which the state becomes invalid (see Episode End) has reward 0.

    ## Starting State

    That of the v5 task. Parameters are set before the first observation is computed.

    ``reset(seed=s)`` seeds the starting states, the random draws and the schedules from then on.
    ``reset(options={"parameters": {name: value}})`` sets values for this episode *and the following ones*, until a
    reset gives others. The new dict replaces the previous one: parameters that it omits return to the values of the
    constructor, and ``{}`` resets all of them. ``None`` as a value means nominal, whatever the constructor
    specified. A reset without the option keeps the last values.

    ``info["parameters"]`` (a dict of floats, at reset and after each step) has the current values of the chosen set
    and of all other parameters that were set; ``info["contact_friction"]`` is the sliding friction of a foot-floor
    contact.

    ## Episode End

    That of the v5 task. In addition, if MuJoCo finds the state invalid (not finite or beyond 1e10), it silently resets
    the robot; here the episode terminates and ``info["simulation_unstable"]`` is True. In our tests no value inside the
    published ranges causes this; values beyond them can.

    ## Arguments

    All keyword arguments of the v5 task (``render_mode``, ``terminate_when_unhealthy``, ``xml_file``, ...), and:

    | Argument      | Default     | Description                                                                        |
    |---------------|-------------|------------------------------------------------------------------------------------|
    | `uncertainty` | largest set | The named set: "1d", "2d" or "3d" (InvertedPendulum has two)                       |
    | `parameters`  | `None`      | Fixed values by name, of the set or beyond it; `None` as a value means nominal     |
    | `randomize`   | `None`      | "uniform" draws the set's parameters, except fixed ones, at each reset             |
    | `schedule`    | `None`      | Changes within an episode: a name or Schedule for the whole set, or a dict         |
    | `forces`      | `None`      | "rarl" adds RARL's forces to the set; `{body: newtons}` adds others, within +-     |
    | `compat`      | `None`      | "rrls" edits the model as RRLS does (see the card): for published numbers only     |
    | `check_range` | `True`      | Refuse values outside a parameter's range; the nominal value is always accepted    |
    | `observe`     | `"state"`   | What is observed: "state", "parameters" (beside it) or "transition" (before it)    |

    ```python
    >>> import gymnasium as gym, agentgym
    >>> env = gym.make("agentgym/RobustHopper-v0", uncertainty="2d", randomize="uniform")
    >>> env.unwrapped.parameter_ranges
    {'friction': (0.1, 3.0), 'torso_mass': (0.1, 3.0)}
    >>> observation, info = env.reset(seed=0, options={"parameters": {"friction": 0.5}})
    >>> info["parameters"]["friction"], info["contact_friction"]
    (0.5, 0.5)

    ```

    ## Vectorized environment

    ``gym.make_vec("agentgym/RobustHopper-v0", num_envs=8)`` makes a
    :class:`agentgym.envs.robust.vector.RobustVectorEnv`, whose world i equals the single environment with its seed.

    ## Version History

    * v0: Initial version, on Gymnasium's v5 tasks
    """

    task: ClassVar[str]

    def __init__(
        self,
        uncertainty: str | None = None,
        parameters: Values | None = None,
        randomize: Literal["uniform"] | None = None,
        schedule: Schedules | None = None,
        forces: Forces | None = None,
        compat: Compat | None = None,
        check_range: bool = True,
        observe: Observe = "state",
        **task_arguments: Any,
    ) -> None:
        gymnasiums = next(base for base in type(self).__mro__ if not issubclass(base, RobustEnv))
        task_arguments = checked_arguments(gymnasiums, task_arguments, inspect.signature(RobustEnv.__init__).parameters)
        super().__init__(**task_arguments)
        checked_body("main_body", task_arguments.get("main_body"), self.model)
        arguments = {
            "uncertainty": uncertainty,
            "parameters": parameters,
            "randomize": randomize,
            "schedule": schedule,
            "forces": forces,
            "compat": compat,
            "check_range": check_range,
        }
        EzPickle.__init__(self, **arguments, observe=observe, **task_arguments)
        self.uncertainty = Uncertainty(self.task, self.model, **arguments)  # type: ignore[arg-type]
        self.observing = Observing(observe, self.observation_space, self.model.nu, self.uncertainty.ranges)  # type: ignore[arg-type]
        self.observation_space = self.observing.space
        self._seen = np.zeros(0)  # the task's own observation
        self.state_warnings = self.data.warning.number[_STATE_LOST]  # a view
        self._no_warnings = bytes(self.state_warnings.nbytes)
        self._action_shape, self._name = (self.model.nu,), f"Robust{self.task}"
        self._seeded = False
        self._steps = 0

    @property
    def parameter_ranges(self) -> dict[str, Range]:
        """The lowest and highest value of each parameter of the chosen set, including forces."""
        return dict(self.uncertainty.ranges)

    @property
    def known_parameters(self) -> dict[str, Range]:
        """The ranges of all parameters that can be set by name, in the chosen set or beyond it."""
        known = {name: parameter.range for name, parameter in self.uncertainty.known.items()}
        return known | self.uncertainty.ranges

    @property
    def nominal_parameters(self) -> dict[str, float]:
        """Each known parameter's value in the compiled model."""
        return dict(self.uncertainty.nominal)

    @property
    def parameters(self) -> dict[str, float]:
        """The current values of the chosen set and of all other parameters that were set."""
        return dict(self.uncertainty.values)

    def set_parameters(self, values: Values) -> None:
        """Change values from the next step until the end of the episode, e.g. as an adversary.

        Raises:
            UnknownId: the task has no such parameter.
            InvalidParameter: a value is not a finite number or is outside its range.
        """
        self.uncertainty.hold(values)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode. ``options`` are described under Starting State.

        Raises:
            UnknownId: no such option or parameter.
            InvalidParameter: a value is not a finite number or is outside its range.
        """
        seed = seed_of_one(seed)
        if "parameters" in (given := check_options(type(self).__name__, options, ("parameters",))):
            self.uncertainty.give(given["parameters"])
        if seed is not None or not self._seeded:
            own = self.np_random_seed if seed is None else seed
            self.uncertainty.seed(own if own is not None and own >= 0 else entropy())
            self._seeded = True
        self.uncertainty.begin_episode()
        self._steps = 0
        self._seen, info = super().reset(seed=seed, options=options)
        self.observing.begin()
        return self.extended(self._seen), info | self.parameter_info()

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Advance by one control step, with the current parameters and forces."""
        action = checked_action(action, self._action_shape, self._name)
        self.begin_step()
        self.observing.remember(self._seen, action)
        self._seen, reward, terminated, truncated, task_info = super().step(action)
        info: dict[str, Any] = task_info  # the task has just made it
        info.update(self.parameter_info())
        if self.lost_state:
            reward, terminated, info["simulation_unstable"] = np.float64(0.0), True, True
        return self.extended(self._seen), reward, terminated, truncated, info

    def extended(self, observation: np.ndarray) -> np.ndarray:
        """The task's observation and what ``observe`` adds to it."""
        return self.observing.extended(observation, self.uncertainty.values)

    def begin_step(self) -> None:
        """Update schedules and forces for the next step (also called by RobustVectorEnv)."""
        uncertainty = self.uncertainty
        if uncertainty.moving and self._steps:
            uncertainty.advance()
        self._steps += 1
        if uncertainty.physics.forces:
            uncertainty.physics.apply_forces(self.data)

    @property
    def dt(self) -> float:
        """The duration of a step in seconds."""
        return self._options.timestep * self.frame_skip

    def control_cost(self, action: Any) -> Any:
        """Gymnasium's control cost, bit for bit, without the detour through ``np.sum``."""
        return self._ctrl_cost_weight * np.add.reduce(np.square(action))  # type: ignore[attr-defined]

    def do_simulation(self, ctrl: Any, n_frames: int) -> None:
        """Run MuJoCo's steps. If they lost the state, parts of it may be NaN and are reset as well.

        step() has checked the action, which Gymnasium would do here.
        """
        self.simulate(ctrl, n_frames)
        if self.lost_state:
            self.mend()

    def simulate(self, ctrl: Any, n_frames: int) -> None:
        """Run only MuJoCo's steps. RobustVectorEnv checks all worlds at once for lost states."""
        self._step_mujoco_simulation(ctrl, n_frames)

    def mend(self) -> None:
        """After MuJoCo lost the state, reset it if observed values are not finite."""
        if not all(map(is_finite, (getattr(self.data, name) for name in JUDGES[self.task].fields))):
            warnings = self.state_warnings.copy()
            mujoco.mj_resetData(self.model, self.data)
            mujoco.mj_forward(self.model, self.data)
            self.state_warnings[:] = warnings

    @property
    def lost_state(self) -> bool:
        """Whether MuJoCo found the state invalid in this episode and reset it."""
        return self.state_warnings.tobytes() != self._no_warnings  # bytes compare twenty times as fast as arrays

    def parameter_info(self) -> dict[str, Any]:
        """The entries of ``info`` about parameters."""
        info: dict[str, Any] = {"parameters": self.uncertainty.values.copy()}
        if (friction := self.uncertainty.physics.contact_friction) is not None:
            info["contact_friction"] = friction
        return info

    def snapshot(self) -> dict[str, Any]:
        """The state that determines the future, as arrays and plain JSON values that are independent of the
        environment.

        ``fields`` contains values that observations and rewards use besides the integration state. Some of them come
        from the last substep and cannot be computed from that state.
        """
        physics = np.empty(mujoco.mj_stateSize(self.model, _INTEGRATION))
        mujoco.mj_getState(self.model, self.data, physics, _INTEGRATION)
        return {
            "physics": physics,
            "fields": {name: getattr(self.data, name).copy() for name in JUDGES[self.task].fields},
            "warnings": self.state_warnings.tolist(),
            "random": None if self._np_random is None else state_of(self._np_random),
            "seed": self._np_random_seed,
            "seeded": self._seeded,
            "steps": self._steps,
            "uncertainty": self.uncertainty.get_state(),
            "previous": self.observing.get_state(),
            "seen": self._seen,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Restore a state that :meth:`snapshot` returned, here or in an environment made with the same arguments.

        Raises:
            InvalidParameter: the snapshot is of another task.
        """
        shapes = {name: getattr(self.data, name).shape for name in JUDGES[self.task].fields}
        size = mujoco.mj_stateSize(self.model, _INTEGRATION)
        taken = {name: part.shape for name, part in snapshot["fields"].items()}
        if taken != shapes or len(snapshot["physics"]) != size:
            raise InvalidParameter(f"The snapshot is not one of Robust{self.task}.")
        self.uncertainty.set_state(snapshot["uncertainty"], snapshot["steps"])
        mujoco.mj_setState(self.model, self.data, snapshot["physics"], _INTEGRATION)
        mujoco.mj_forward(self.model, self.data)  # for rendering; it overwrites the solver's warm start
        mujoco.mj_setState(self.model, self.data, snapshot["physics"], _INTEGRATION)
        for name, part in snapshot["fields"].items():
            getattr(self.data, name)[...] = part
        self.state_warnings[:] = snapshot["warnings"]
        self.observing.set_state(snapshot["previous"])
        self._seen = np.array(snapshot["seen"])
        self._np_random_seed, self._seeded, self._steps = snapshot["seed"], snapshot["seeded"], snapshot["steps"]
        self._np_random = None
        if snapshot["random"] is not None:
            self._np_random = np.random.default_rng(0)
            restore(self._np_random, snapshot["random"])

    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Copy the model that an earlier environment compiled from the same file, which is faster."""
        modified = os.stat(self.fullpath).st_mtime_ns
        model = copy.deepcopy(_compiled(self.fullpath, modified, self.width, self.height))
        self._options = model.opt
        return model, mujoco.MjData(model)

    def __getstate__(self) -> dict[str, Any]:
        """Constructor arguments and parameter values. As in the v5 task, a copy must be reset before it steps."""
        return {**super().__getstate__(), "given": self.uncertainty.given}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.uncertainty.restore(state["given"])


@lru_cache(maxsize=8)
def _compiled(path: str, modified: int, width: int, height: int) -> mujoco.MjModel:
    """The unedited model compiled from an XML file; ``modified`` distinguishes versions of the file."""
    model = mujoco.MjModel.from_xml_path(path)
    model.vis.global_.offwidth = max(model.vis.global_.offwidth, width)
    model.vis.global_.offheight = max(model.vis.global_.offheight, height)
    return model


def checked_action(action: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Convert the action to an array of ``shape``.

    Raises:
        InvalidAction: another shape, not numeric, or an entry that is NaN or larger than MuJoCo accepts (it would
            silently use zeros instead).
    """
    try:
        array = np.asarray(action)
        # The norm bounds every entry and is NaN if one is; on few numbers this is the fastest test.
        if array.shape == shape and array.ndim == 1 and math.hypot(*array.tolist()) <= mujoco.mjMAXVAL:
            return array
        sane = np.abs(array) <= mujoco.mjMAXVAL
    except (TypeError, ValueError) as error:
        raise InvalidAction(f"{name} takes an array of numbers of shape {shape}, not {action!r}.") from error
    if array.shape != shape:
        raise InvalidAction(f"{name} takes actions of shape {shape}, not {array.shape}.")
    if not sane.all():
        index = tuple(int(entry) for entry in np.argwhere(~sane)[0])
        where = ", ".join(str(entry) for entry in index)
        raise InvalidAction(
            f"{name}: action[{where}] is {array[index]}; every entry must be a finite number, of at most "
            f"{mujoco.mjMAXVAL:g} in size."
        )
    return array


class RobustAntEnv(RobustEnv, AntEnv):
    """Gymnasium's Ant-v5 with uncertain parameters. :class:`RobustEnv` has the manual."""

    task = "Ant"


class RobustHalfCheetahEnv(RobustEnv, HalfCheetahEnv):
    """Gymnasium's HalfCheetah-v5 with uncertain parameters. :class:`RobustEnv` has the manual."""

    task = "HalfCheetah"


class RobustHopperEnv(RobustEnv, HopperEnv):
    """Gymnasium's Hopper-v5 with uncertain parameters. :class:`RobustEnv` has the manual."""

    task = "Hopper"


class RobustHumanoidStandupEnv(RobustEnv, HumanoidStandupEnv):
    """Gymnasium's HumanoidStandup-v5 with uncertain parameters. :class:`RobustEnv` has the manual."""

    task = "HumanoidStandup"


class RobustInvertedPendulumEnv(RobustEnv, InvertedPendulumEnv):
    """Gymnasium's InvertedPendulum-v5 with uncertain parameters. :class:`RobustEnv` has the manual."""

    task = "InvertedPendulum"


class RobustWalker2dEnv(RobustEnv, Walker2dEnv):
    """Gymnasium's Walker2d-v5 with uncertain parameters. :class:`RobustEnv` has the manual."""

    task = "Walker2d"
