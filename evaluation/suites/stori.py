"""Types of stochasticity: each in its usual strength as a train x test matrix, and at several intensities.

Atari games bring their own types. In other environments perturbations of the same kinds take their place, so that one
table compares families:

    1    noise on actuators whose gain drifts; random actions, weight 0.3, where actions are choices
    2.1  kicks at 2 % of the steps: of the velocities in MuJoCo and classic control, else of the actions
    2.2  from step 100 on: gravity (or another parameter) half as large again in MuJoCo and classic control, else 3.2
    3.2  the second half of the observation is hidden at half of the steps
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from agentgym import catalog
from agentgym.contracts.environment import Stochastic
from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.evaluation.calibration import Calibration, read_calibration
from agentgym.evaluation.conditions import Condition, Subject, Suite, require_once
from agentgym.evaluation.table import Scene
from agentgym.make import make_env, perturbed

__all__ = ["Stori", "largest_intensity", "scaled"]

PLAIN = "plain"
PICTURED = 150  # the decision that pictures show
DRIFT = 100  # steps until the concept drift of environments other than Atari games

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Stori(Suite):
    """The plain environment, every type of stochasticity in its usual strength, and a curve over intensity per type.

    Agents that were trained in different types, compared in one evaluation, give the train x test matrix. An intensity
    multiplies the probabilities of a type; one that would exceed 1 is left out. Scores are unclipped and of whole
    games; ``cut by time``, a column of rows.csv, marks games that the time limit cut.

    Args:
        types: names of types, such as 1 or 3.2A; by default all of the game.
        intensities: multiples of the usual probabilities.
        max_frames: time limit of an Atari game in emulated frames. Idle games run that long.
        pictured: for Atari games, whether the report shows what each type does to a frame.
        calibrated: a file of ``agentgym data calibrate`` for this environment; its strengths take the place of the
            usual ones.
    """

    name: ClassVar[str] = "stori"

    types: tuple[str, ...] = ()
    intensities: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    max_frames: int = 18_000
    pictured: bool = True
    calibrated: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_once("types of stori", self.types)
        require_once("intensities of stori", self.intensities)
        if any(intensity <= 0 for intensity in self.intensities):
            raise InvalidParameter(f"The intensities of stori are {self.intensities}; they must be above 0.")
        if self.max_frames < 1:
            raise InvalidParameter(f"max_frames of stori is {self.max_frames}; it must be at least 1.")
        object.__setattr__(self, "_calibration", read_calibration(self.calibrated) if self.calibrated else None)

    _calibration: ClassVar[Calibration | None]  # of each suite, read when it is made

    def conditions(self, subject: Subject) -> list[Condition]:
        """The plain game and the types as columns of a matrix, then one curve per type."""
        types = self.types_of(subject)
        matrix = [(PLAIN, ()), *types.items()]
        listed = [
            self.condition(subject, f"tested in {name}", Scene("Types", "trained in x tested in", "matrix",
                            {"test": name}), effects) for name, effects in matrix
        ]  # fmt: skip
        return [*listed, *self._curves(subject, types)]

    def left_out(self, subject: Subject) -> dict[str, str]:
        """Intensities that are not possible, and types whose calibration did not reach the stated loss."""
        missed = {
            f"stori: type {name}": f"no intensity costs {self._calibration.loss:g} of the return; the largest costs "
            f"{found.loss:.2g}"
            for name, found in self._calibration.types.items() if not found.reached
        } if self._calibration else {}  # fmt: skip
        return missed | {
            f"stori: type {name} at {intensity:g}": "a probability would exceed 1"
            for name, effects in self.types_of(subject).items()
            for intensity in self.intensities if scaled(effects, intensity) is None
        }  # fmt: skip

    def pictures(self, subject: Subject) -> dict[str, np.ndarray]:
        """The same decision of the same game in every type, in colour."""
        if not self.pictured or not isinstance(subject.probe.unwrapped, Stochastic):
            return {}
        shown = {PLAIN: (), **self.types_of(subject)}
        return {f"type {name}" if name != PLAIN else name: self._picture(subject, each) for name, each in shown.items()}

    def _picture(self, subject: Subject, effects: Sequence[Config]) -> np.ndarray:
        changes = {"observation": "rgb", "stack": 1, "setting": "", "effects": _visible(effects)}
        env = make_env(subject.env, {**subject.env_kwargs, **_plain(subject), **changes})
        try:
            observation, _ = env.reset(seed=0)
            generator = np.random.default_rng(0)
            for _ in range(PICTURED):
                observation, _, terminated, truncated, _ = env.step(generator.integers(env.action_space.n))  # type: ignore[attr-defined]
                if terminated or truncated:
                    break
            return np.array(observation)
        finally:
            env.close()

    def _curves(self, subject: Subject, types: Mapping[str, Sequence[Config]]) -> Iterator[Condition]:
        for name, effects in types.items():
            for intensity in sorted(self.intensities):
                if (effects_here := scaled(effects, intensity)) is not None:
                    scene = Scene("Intensity", f"type {name} (multiple of its usual strength)", "curve",
                                  {"intensity": float(intensity)})  # fmt: skip
                    yield self.condition(subject, f"type {name} at {intensity:g}", scene, effects_here)

    def condition(self, subject: Subject, name: str, scene: Scene, effects: Sequence[Config]) -> Condition:
        """A condition with some effects and nothing else."""
        if not isinstance(subject.probe.unwrapped, Stochastic):
            return subject.condition(name, scene, perturbations=tuple(effects))
        changes = {**_plain(subject), "effects": tuple(effects), "max_frames": self.max_frames}
        return Condition(name, scene, subject.env, {**subject.env_kwargs, **changes})

    def types_of(self, subject: Subject) -> dict[str, Sequence[Config]]:
        """The chosen types with their effects.

        Raises:
            AskError: the environment has no types of stochasticity, or not the chosen ones, or the calibration is of
                another environment.
            InvalidParameter: the perturbations do not apply to the environment.
        """
        world = subject.probe.unwrapped
        known = world.stochastic_types if isinstance(world, Stochastic) else _other_types(subject)
        if self._calibration:
            if self._calibration.env != subject.env:
                raise AskError(
                    f"{self.calibrated} is of {self._calibration.env}, not of {subject.env}. Calibrate there."
                )
            known = {name: each.effects for name, each in self._calibration.types.items() if each.reached}
        for name in self.types:
            if name not in known:
                raise UnknownId(f"type of {subject.env}", name, known)
        return {name: effects for name, effects in known.items() if name in (self.types or known)}


def _plain(subject: Subject) -> Mapping[str, Any]:
    world = subject.probe.unwrapped
    return world.plain_arguments if isinstance(world, Stochastic) else {}


def _other_types(subject: Subject) -> dict[str, Sequence[Config]]:
    """Perturbations that take the place of the types in environments without types of their own.

    Raises:
        AskError: actions or observations are of a kind that these perturbations do not support.
    """
    seen, acted = subject.probe.observation_space, subject.probe.action_space
    if not isinstance(seen, spaces.Box) or np.prod(seen.shape) < 2:
        raise AskError(
            f"The suite stori hides half of an observation, which must be a Box of at least two numbers; {subject.env} "
            "has others. For Atari games use --env agentgym/Stori-Breakout-0-v0 or another of agentgym list envs."
        )
    size = int(np.prod(seen.shape))
    hidden: Config = {"type": "ObservationHidden", "entries": list(range(size // 2, size)), "probability": 0.5}
    types: dict[str, Sequence[Config]] = {
        "1": _noisy_actions(acted),
        "2.1": [_kick(subject.probe, acted)],
        "2.2": [_drift(subject.probe) or {**hidden, "start": DRIFT}],
        "3.2": [hidden],
    }
    for effects in types.values():
        perturbed(subject.probe, effects)  # refuses what does not apply, before anything is played
    return types


def _noisy_actions(acted: gymnasium.Space[Any]) -> Sequence[Config]:
    if not isinstance(acted, spaces.Box):
        return [{"type": "ActionMixture", "policy": "random", "weight": 0.3}]
    return [{"type": "ActionNoise", "std": 0.3, "scale": "half_range"}, {"type": "ActionGainDrift", "std": 0.02}]


def _kick(probe: gymnasium.Env[Any, Any], acted: gymnasium.Space[Any]) -> Config:
    if _physics("has_kicks", probe):
        return {"type": "StateKick", "size": 1.0, "probability": 0.02}
    if isinstance(acted, spaces.Box):
        return {"type": "ActionNoise", "std": 1.0, "scale": "half_range", "probability": 0.02}
    return {"type": "ActionMixture", "policy": "random", "weight": 1.0, "probability": 0.02}


def _drift(probe: gymnasium.Env[Any, Any]) -> Config | None:
    parameters = _physics("drifting_parameters", probe)
    return (
        {"type": "ParameterDrift", "parameter": parameters[0], "amount": 0.5, "period": DRIFT} if parameters else None
    )


def _physics(name: str, probe: gymnasium.Env[Any, Any]) -> Any:
    return catalog.resolve(f"agentgym.envs.perturb:{name}")(probe)


def strength_of(effect: Config) -> tuple[str, float]:
    """The setting of an effect that its intensity multiplies, and the largest value that it may have."""
    for name, most in (("amount", math.inf), ("probability", 1.0), ("weight", 1.0), ("std", math.inf)):
        if name in effect:
            return name, most
    return "probability", 1.0


def scaled(effects: Sequence[Config], intensity: float) -> list[Config] | None:
    """The effects with their strength multiplied; None if a probability would exceed 1."""
    changed: list[Config] = []
    for effect in effects:
        if "concepts" in effect:
            concepts = [scaled(concept, intensity) for concept in effect["concepts"]]
            if None in concepts:
                return None
            changed.append({**effect, "concepts": concepts})
        else:
            field, most = strength_of(effect)
            value = effect.get(field, 1.0) * intensity
            if value > most:
                return None
            changed.append({**effect, field: value})
    return changed


def largest_intensity(effects: Sequence[Config]) -> float:
    """The largest intensity at which no probability exceeds 1; infinite where none limits it."""
    most = math.inf
    for effect in effects:
        if "concepts" in effect:
            most = min([most, *(largest_intensity(concept) for concept in effect["concepts"])])
        else:
            field, limit = strength_of(effect)
            most = min(most, limit / effect.get(field, 1.0))
    return most


def _visible(effects: Sequence[Config]) -> list[Config]:
    """The effects as they are when they take place: masks are always drawn, and a drift is in its last concept."""
    shown: list[Config] = []
    for effect in effects:
        if "concepts" in effect:
            shown += _visible(effect["concepts"][-1])
        else:
            masks = effect["type"] in ("Crop", "Blackout", "HideObjects")
            shown.append({**effect, "probability": 1.0} if masks else effect)
    return shown
