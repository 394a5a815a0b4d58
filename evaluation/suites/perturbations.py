"""Each way in which observation, action, reward or dynamics can be wrong, at several intensities."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np

from agentgym.errors import AskError, UnknownId
from agentgym.evaluation.conditions import Condition, Subject, Suite
from agentgym.evaluation.table import Scene

__all__ = ["EFFECTS", "Effect", "Perturbations"]

Config = dict[str, Any]


@dataclass(frozen=True)
class Effect:
    """One kind of trouble.

    Attributes:
        axis: what it changes: observation, action, reward or dynamics.
        label: its name in plots, with the unit of its intensity.
        intensities: from mild to severe.
        config: the perturbation's configuration at an intensity, for an observation scale as a list.
        signal: "numbers" where the signal must be an array of numbers; "any" otherwise.
    """

    axis: str
    label: str
    intensities: tuple[float, ...]
    config: Callable[[float, Any], Config]
    signal: str = "any"


def _effect(
    axis: str, label: str, intensities: tuple[float, ...], kind: str, field: str, signal: str = "any", **fixed: Any
) -> Effect:
    whole = field in ("steps", "duration")

    def config(intensity: float, scale: Any) -> Config:
        value = int(intensity) if whole else intensity
        units = {"scale": scale} if signal == "numbers" and kind in SCALED else {}
        return {"type": kind, field: value, **fixed, **units}

    return Effect(axis, label, intensities, config, signal)


SCALED = {"ObservationNoise", "ObservationBias", "ObservationQuantization"}

# Intensities double, so that a curve shows where an agent breaks rather than that it does.
EFFECTS: tuple[Effect, ...] = (
    _effect("observation", "noise (std, in obs. stds)", (0.05, 0.1, 0.2, 0.4), "ObservationNoise", "std", "numbers"),
    _effect("observation", "bias (in obs. stds)", (0.1, 0.2, 0.4, 0.8), "ObservationBias", "bias", "numbers"),
    _effect("observation", "dropout (rate an entry)", (0.05, 0.1, 0.2, 0.4), "ObservationDropout", "rate", "numbers"),
    _effect("observation", "freeze (probability a step)", (0.1, 0.2, 0.4, 0.8), "ObservationFreeze", "probability"),
    _effect("observation", "delay (steps)", (1, 2, 4, 8), "ObservationDelay", "steps", before="first"),
    _effect(
        "observation", "quantization (spacing, in obs. stds)", (0.1, 0.2, 0.4, 0.8),
        "ObservationQuantization", "step", "numbers",
    ),
    _effect("action", "noise (std, in half ranges)", (0.1, 0.2, 0.4, 0.8), "ActionNoise", "std", "numbers"),
    _effect("action", "delay (steps)", (1, 2, 4, 8), "ActionDelay", "steps"),
    _effect("action", "sticky (probability)", (0.1, 0.25, 0.5, 0.75), "StickyAction", "probability"),
    _effect("action", "gain drift (std a step)", (0.01, 0.02, 0.04, 0.08), "ActionGainDrift", "std", "numbers",
            low=0.0, high=2.0),
    _effect("action", "random mixture (weight)", (0.1, 0.2, 0.4, 0.8), "ActionMixture", "weight", policy="random"),
    _effect("reward", "noise (std)", (0.1, 1.0), "RewardNoise", "std"),
    _effect("reward", "delay (steps)", (1, 8), "RewardDelay", "steps"),
    _effect("reward", "sign flip (probability)", (0.1, 0.5), "RewardSignFlip", "probability"),
    _effect("dynamics", "gravity (scale)", (0.5, 0.75, 1.5, 2.0), "Gravity", "scale"),
    _effect("dynamics", "mass of all bodies (scale)", (0.5, 0.75, 1.5, 2.0), "BodyMass", "scale"),
    _effect("dynamics", "joint damping (scale)", (0.25, 0.5, 2.0, 4.0), "JointDamping", "scale"),
    _effect("dynamics", "contact friction (scale)", (0.25, 0.5, 2.0, 4.0), "ContactFriction", "scale"),
    _effect("dynamics", "actuator gain (scale)", (0.25, 0.5, 1.5, 2.0), "ActuatorGain", "scale"),
)  # fmt: skip

AXES = tuple(dict.fromkeys(effect.axis for effect in EFFECTS))


@dataclass(frozen=True)
class Perturbations(Suite):
    """One curve an effect: score over intensity.

    Effects that have no meaning for an environment are left out: noise on discrete signals, dynamics where there is no
    MuJoCo model, friction where nothing touches. A fixed policy never sees rewards: its reward curves are flat, and
    serve as a check of the evaluation itself.

    Args:
        axes: which of observation, action, reward and dynamics.
        levels: intensities an effect, of those listed in :data:`EFFECTS`, spread evenly; 0 takes all.
    """

    name: ClassVar[str] = "perturbations"
    needs_scale: ClassVar[bool] = True

    axes: tuple[str, ...] = AXES
    levels: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.axes, str):
            object.__setattr__(self, "axes", (self.axes,))
        for axis in self.axes:
            if axis not in AXES:
                raise UnknownId("axis of perturbations", axis, AXES)
        if self.levels < 0:
            raise AskError(f"perturbations: levels is {self.levels}; it must be 0 (all) or more.")

    def conditions(self, subject: Subject) -> list[Condition]:
        """The conditions, effect by effect from mild to severe."""
        return [
            condition
            for effect in EFFECTS
            if effect.axis in self.axes and _applies(effect, subject.probe)
            for condition in self._curve(effect, subject)
        ]

    def _curve(self, effect: Effect, subject: Subject) -> Iterator[Condition]:
        chosen = effect.intensities
        if self.levels:
            last = len(chosen) - 1
            chosen = tuple(
                dict.fromkeys(chosen[round(i)] for i in np.linspace(last, 0, min(self.levels, last + 1))[::-1])
            )
        scale = None if subject.observation_scale is None else subject.observation_scale.tolist()
        for intensity in chosen:
            yield subject.condition(
                f"{effect.axis}: {effect.label} {intensity:g}",
                Scene(effect.axis.capitalize(), effect.label, "curve", {"intensity": float(intensity)}),
                perturbations=(effect.config(intensity, scale),),
            )


def _applies(effect: Effect, env: gymnasium.Env[Any, Any]) -> bool:
    if effect.axis == "dynamics":
        return _dynamics_applies(effect, getattr(env.unwrapped, "model", None))
    if effect.axis == "reward" or effect.signal == "any":
        return True
    return isinstance(getattr(env, f"{effect.axis}_space"), gymnasium.spaces.Box)


def _dynamics_applies(effect: Effect, model: Any) -> bool:
    """Whether scaling would change anything: there is a model, and it has such values other than zero."""
    if model is None or not hasattr(model, "body_mass"):
        return False
    if effect.label.startswith("joint damping"):
        return bool(np.any(model.dof_damping))
    if effect.label.startswith("contact friction"):
        return bool(np.any(model.geom_contype) and np.any(model.geom_conaffinity))
    return True
