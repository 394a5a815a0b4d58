"""The wrapper whose effects change the physics within an episode, and what it needs to know of each kind of task."""

from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import RecordConstructorArgs

from agentgym.envs.perturb.base import Perturbation
from agentgym.envs.perturb.dynamics import (
    ActuatorGain,
    BodyMass,
    ContactFriction,
    DynamicsPerturbation,
    Gravity,
    JointDamping,
)
from agentgym.envs.perturb.layers import Layer, as_perturbations, dynamics_edits, types_inside
from agentgym.envs.perturb.physics import ParameterDrift, PhysicsPerturbation, StateKick
from agentgym.envs.perturb.runtime import names_of
from agentgym.errors import InvalidParameter
from agentgym.seeding import entropy, stream

__all__ = ["PhysicsEnv", "drifting_parameters", "has_kicks"]

# Of Gymnasium's classic control: places of velocities in the state, their unit, and the attributes of each parameter.
CLASSIC: dict[str, tuple[tuple[int, ...], float, dict[str, tuple[str, ...]]]] = {
    "CartPoleEnv": ((1, 3), 1.0, {"gravity": ("gravity",), "mass": ("masspole",), "length": ("length",),
                                  "gear": ("force_mag",)}),
    "PendulumEnv": ((1,), 1.0, {"gravity": ("g",), "mass": ("m",), "length": ("l",)}),
    "MountainCarEnv": ((1,), 0.01, {"gravity": ("gravity",), "gear": ("force",)}),
    "Continuous_MountainCarEnv": ((1,), 0.01, {"gear": ("power",)}),
    "AcrobotEnv": ((2, 3), 1.0, {"mass": ("LINK_MASS_1", "LINK_MASS_2"),
                                 "length": ("LINK_LENGTH_1", "LINK_LENGTH_2", "LINK_COM_POS_1", "LINK_COM_POS_2")}),
}  # fmt: skip
MUJOCO: dict[str, type[DynamicsPerturbation]] = {
    "gravity": Gravity, "mass": BodyMass, "gear": ActuatorGain, "friction": ContactFriction, "damping": JointDamping,
}  # fmt: skip


class _Task:
    """What effects do to one kind of task."""

    def kick(self, generator: np.random.Generator, size: float) -> None:
        """Add normal noise to the velocities."""
        raise NotImplementedError

    def scale(self, factors: Mapping[str, float]) -> None:
        """Give parameters their original values times the factors."""
        raise NotImplementedError

    def begin(self) -> None:
        """Called before the environment is reset."""

    def check(self) -> None:
        """Called after the environment was reset or stepped."""

    def restore(self) -> None:
        """Give all parameters their original values."""
        raise NotImplementedError


class _Classic(_Task):
    def __init__(self, env: Any) -> None:
        self._env = env
        self._velocities, self._unit, self._attributes = CLASSIC[type(env).__name__]
        names = [name for parts in self._attributes.values() for name in parts]
        self._before = {name: getattr(env, name) for name in names}

    def kick(self, generator: np.random.Generator, size: float) -> None:
        state = np.array(self._env.state, dtype=np.float64)
        state[list(self._velocities)] += size * self._unit * generator.standard_normal(len(self._velocities))
        self._env.state = state

    def scale(self, factors: Mapping[str, float]) -> None:
        for parameter, factor in factors.items():
            for name in self._attributes[parameter]:
                setattr(self._env, name, self._before[name] * factor)
        self._derive()

    def restore(self) -> None:
        for name, value in self._before.items():
            setattr(self._env, name, value)
        self._derive()

    def _derive(self) -> None:
        env = self._env
        if type(env).__name__ == "CartPoleEnv":  # which computes these once
            env.total_mass, env.polemass_length = env.masspole + env.masscart, env.masspole * env.length


class _MuJoCo(_Task):
    def __init__(self, owner: Layer, env: gymnasium.Env[Any, Any], parameters: Iterable[str]) -> None:
        self._env: Any = env.unwrapped
        self.edits = dynamics_edits(owner, env, [MUJOCO[name]() for name in parameters])

    def kick(self, generator: np.random.Generator, size: float) -> None:
        velocities = self._env.data.qvel
        velocities += size * generator.standard_normal(len(velocities))

    def scale(self, factors: Mapping[str, float]) -> None:
        self.edits.replace([MUJOCO[name](factor) for name, factor in factors.items()])

    def begin(self) -> None:
        self.edits.apply()

    def check(self) -> None:
        if self.edits.watched:
            self.edits.check()

    def restore(self) -> None:
        self.edits.undo()


def _has_model(env: Any) -> bool:
    return hasattr(env, "model") and hasattr(getattr(env, "data", None), "qvel")


def has_kicks(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether :class:`StateKick` knows the environment."""
    return type(env.unwrapped).__name__ in CLASSIC or _has_model(env.unwrapped)


def drifting_parameters(env: gymnasium.Env[Any, Any]) -> tuple[str, ...]:
    """The parameters that :class:`ParameterDrift` can change in the environment."""
    base: Any = env.unwrapped
    if type(base).__name__ in CLASSIC:
        return tuple(CLASSIC[type(base).__name__][2])
    if not _has_model(base) or hasattr(base, "set_parameters") or hasattr(base, "parameters"):
        return ()
    return tuple(name for name, effect in MUJOCO.items() if effect().dead(base.model) is None)


class PhysicsEnv(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs, Layer):
    """An environment whose physics changes within an episode; created by :func:`perturb`.

    ``info["perturbed"]`` says for each effect whether it fired: a kick in this step, a parameter that is not its own.

    Args:
        env: a MuJoCo task or one of Gymnasium's classic control.
        perturbations: effects or their configurations, innermost first.
        true_observation: whether to put the environment's own observation into ``info["true_observation"]``.

    Raises:
        InvalidParameter: an effect does not apply to this environment.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        perturbations: Iterable[Perturbation | Mapping[str, Any]],
        true_observation: bool = False,
    ) -> None:
        effects = as_perturbations(perturbations)
        self.perturbations = effects
        RecordConstructorArgs.__init__(
            self, perturbations=[effect.to_config() for effect in effects], true_observation=true_observation
        )
        gymnasium.Wrapper.__init__(self, env)
        self._edits = dynamics_edits(self, env, ())
        self._drifts = [effect for effect in effects if isinstance(effect, ParameterDrift)]
        self._require_known(env)
        self._task: _Task
        if type(env.unwrapped).__name__ in CLASSIC:
            self._task = _Classic(env.unwrapped)
        else:
            self._task = task = _MuJoCo(self, env, dict.fromkeys(drift.parameter for drift in self._drifts))
            self._edits = task.edits
        inside = types_inside(env)
        self._names = names_of([*inside, *(type(effect).__name__ for effect in effects)])[len(inside) :]
        self._position = len(inside)
        self._true_observation = true_observation
        self._generators: list[np.random.Generator] = []
        self._step, self._factors = 0, dict[str, float]()

    def _require_known(self, env: gymnasium.Env[Any, Any]) -> None:
        name, known = type(env.unwrapped).__name__, drifting_parameters(env)
        for effect in self.perturbations:
            kind = type(effect).__name__
            if not isinstance(effect, PhysicsPerturbation):
                raise InvalidParameter(f"{kind} changes no physics within an episode: make it with perturb(env, ...).")
            if isinstance(effect, StateKick) and not has_kicks(env):
                raise InvalidParameter(
                    f"StateKick knows MuJoCo tasks and Gymnasium's classic control, not {name}. Kick the actions: "
                    'ActionNoise(std=1.0, scale="half_range", probability=0.02).'
                )
            if isinstance(effect, ParameterDrift) and effect.parameter not in known:
                there = f"Of {name} it can change {', '.join(known)}." if known else f"It knows none of {name}."
                raise InvalidParameter(f"ParameterDrift cannot change the {effect.parameter} of {name}. {there}")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode with the original physics. ``seed`` seeds every effect's stream."""
        self._step = 0
        self._task.begin()
        self._drift()
        observation, info = self.env.reset(seed=seed, options=options)
        self._task.check()
        if seed is not None or not self._generators:
            root = entropy() if seed is None else int(seed)
            self._generators = [
                stream(root, "perturb", type(effect).__name__, self._position + place)
                for place, effect in enumerate(self.perturbations)
            ]
        return observation, self._told(observation, info, dict.fromkeys(self._names, False))

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment after its physics and state were changed.

        Raises:
            ResetNeeded: there has been no reset.
        """
        if not self._generators:
            raise ResetNeeded("Call reset() before step().")
        self._drift()
        fired = {}
        for effect, name, generator in zip(self.perturbations, self._names, self._generators, strict=True):
            if isinstance(effect, StateKick):
                fired[name] = self._step >= effect.start and bool(generator.random() < effect.probability)
                if fired[name]:
                    self._task.kick(generator, effect.size)
            elif isinstance(effect, ParameterDrift):
                fired[name] = effect.scale(self._step) != 1.0
        self._step += 1
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._task.check()
        return observation, reward, terminated, truncated, self._told(observation, info, fired)

    def _drift(self) -> None:
        """Give the parameters the values of this step; several drifts of one multiply."""
        factors: dict[str, float] = {}
        for drift in self._drifts:
            factors[drift.parameter] = factors.get(drift.parameter, 1.0) * drift.scale(self._step)
        if factors != self._factors:
            self._task.scale(factors)
            self._factors = factors

    def _told(self, observation: Any, info: dict[str, Any], fired: dict[str, bool]) -> dict[str, Any]:
        told = {**info, "perturbed": {**info.get("perturbed", {}), **fired}}
        if self._true_observation:
            told.setdefault("true_observation", observation)
        return told

    def close(self) -> None:
        """Restore the physics and close the environment."""
        self._task.restore()
        self._factors = {}
        self.env.close()
