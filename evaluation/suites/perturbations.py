"""The suite of perturbations of observation, action, reward and dynamics, at several intensities."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.evaluation.conditions import Condition, Subject, Suite, require_once
from agentgym.evaluation.table import Scene
from agentgym.make import perturbed

__all__ = ["EFFECTS", "Effect", "Perturbations"]

Config = dict[str, Any]


@dataclass(frozen=True)
class Effect:
    """One kind of perturbation.

    Attributes:
        axis: what it affects: observation, action, reward or dynamics.
        label: its name in plots, with the unit of its intensity.
        intensities: from mild to severe.
        config: returns the perturbation's configuration for an intensity and an observation scale (a list).
    """

    axis: str
    label: str
    intensities: tuple[float, ...]
    config: Callable[[float, Any], Config]


def _effect(axis: str, label: str, intensities: tuple[float, ...], kind: str, field: str, **fixed: Any) -> Effect:
    whole = field in ("steps", "duration")

    def config(intensity: float, scale: Any) -> Config:
        value = int(intensity) if whole else intensity
        units = {"scale": scale} if kind in SCALED else {}
        return {"type": kind, field: value, **fixed, **units}

    return Effect(axis, label, intensities, config)


SCALED = {"ObservationNoise", "ObservationBias", "ObservationQuantization"}

# Intensities double, so that a curve shows the intensity at which an agent breaks.
EFFECTS: tuple[Effect, ...] = (
    _effect("observation", "noise (std, in obs. stds)", (0.05, 0.1, 0.2, 0.4), "ObservationNoise", "std"),
    _effect("observation", "bias (in obs. stds)", (0.1, 0.2, 0.4, 0.8), "ObservationBias", "bias"),
    _effect("observation", "dropout (rate an entry)", (0.05, 0.1, 0.2, 0.4), "ObservationDropout", "rate"),
    _effect("observation", "freeze (probability a step)", (0.1, 0.2, 0.4, 0.8), "ObservationFreeze", "probability"),
    _effect("observation", "delay (steps)", (1, 2, 4, 8), "ObservationDelay", "steps", before="first"),
    _effect(
        "observation", "quantization (spacing, in obs. stds)", (0.1, 0.2, 0.4, 0.8),
        "ObservationQuantization", "step",
    ),
    _effect("action", "noise (std, in half ranges)", (0.1, 0.2, 0.4, 0.8), "ActionNoise", "std", scale="half_range"),
    _effect("action", "delay (steps)", (1, 2, 4, 8), "ActionDelay", "steps"),
    _effect("action", "sticky (probability)", (0.1, 0.25, 0.5, 0.75), "StickyAction", "probability"),
    _effect("action", "gain drift (std a step)", (0.01, 0.02, 0.04, 0.08), "ActionGainDrift", "std",
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
    """One curve per effect: score over intensity.

    Effects that do not apply to an environment are left out and listed in the results: noise on discrete signals,
    dynamics without a MuJoCo model, friction without contacts. A fixed policy does not observe rewards, so its reward
    curves are flat and check the evaluation itself.

    Args:
        axes: any of observation, action, reward and dynamics.
        levels: number of intensities per effect, spread evenly over those in :data:`EFFECTS`; 0 uses all.
    """

    name: ClassVar[str] = "perturbations"
    needs_scale: ClassVar[bool] = True

    axes: tuple[str, ...] = AXES
    levels: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for axis in self.axes:
            if axis not in AXES:
                raise UnknownId("axis of perturbations", axis, AXES)
        require_once("axes of perturbations", self.axes)
        if self.levels < 0:
            raise AskError(f"perturbations: levels is {self.levels}; it must be 0 (all) or more.")

    def conditions(self, subject: Subject) -> list[Condition]:
        """The conditions, by effect and from mild to severe."""
        return [
            condition
            for effect in EFFECTS
            if effect.axis in self.axes and not self._refused(effect, subject)
            for condition in self._curve(effect, subject)
        ]

    def left_out(self, subject: Subject) -> dict[str, str]:
        """Effects that do not apply to the environment, with the reason."""
        reasons = {effect: self._refused(effect, subject) for effect in EFFECTS if effect.axis in self.axes}
        return {f"{effect.axis}: {effect.label}": reason for effect, reason in reasons.items() if reason}

    def _refused(self, effect: Effect, subject: Subject) -> str:
        """Why an effect does not apply to the environment; empty if it does."""
        try:
            perturbed(subject.probe, [effect.config(effect.intensities[0], _scale(subject))])
        except InvalidParameter as refusal:
            return str(refusal)
        return ""

    def _curve(self, effect: Effect, subject: Subject) -> Iterator[Condition]:
        chosen = effect.intensities
        if self.levels:
            last = len(chosen) - 1
            chosen = tuple(
                dict.fromkeys(chosen[round(i)] for i in np.linspace(last, 0, min(self.levels, last + 1))[::-1])
            )
        for intensity in chosen:
            yield subject.condition(
                f"{effect.axis}: {effect.label} {intensity:g}",
                Scene(effect.axis.capitalize(), effect.label, "curve", {"intensity": float(intensity)}),
                perturbations=(effect.config(intensity, _scale(subject)),),
            )


def _scale(subject: Subject) -> Any:
    return None if subject.observation_scale is None else subject.observation_scale.tolist()
