"""Types of stochasticity: each in its usual strength as a train x test matrix, and at several intensities."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from agentgym.contracts.environment import Stochastic
from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.evaluation.conditions import Condition, Subject, Suite, require_once
from agentgym.evaluation.table import Scene
from agentgym.make import make_env

__all__ = ["Stori"]

PLAIN = "plain"
PICTURED = 150  # the decision that pictures show

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Stori(Suite):
    """The plain game, every type of stochasticity in its usual strength, and a curve over intensity per type.

    Agents that were trained in different types, compared in one evaluation, give the train x test matrix. An intensity
    multiplies the probabilities of a type; one that would exceed 1 is left out. Scores are unclipped and of whole
    games; ``cut by time``, a column of rows.csv, marks games that the time limit cut.

    Args:
        types: names of types, such as 1 or 3.2A; by default all of the game.
        intensities: multiples of the usual probabilities.
        max_frames: time limit of a game in emulated frames. Idle games run that long.
        pictured: whether the report shows what each type does to a frame.
    """

    name: ClassVar[str] = "stori"

    types: tuple[str, ...] = ()
    intensities: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    max_frames: int = 18_000
    pictured: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_once("types of stori", self.types)
        require_once("intensities of stori", self.intensities)
        if any(intensity <= 0 for intensity in self.intensities):
            raise InvalidParameter(f"The intensities of stori are {self.intensities}; they must be above 0.")
        if self.max_frames < 1:
            raise InvalidParameter(f"max_frames of stori is {self.max_frames}; it must be at least 1.")

    def conditions(self, subject: Subject) -> list[Condition]:
        """The plain game and the types as columns of a matrix, then one curve per type."""
        types = self._types(subject)
        matrix = [(PLAIN, ()), *types.items()]
        listed = [
            self._condition(subject, f"tested in {name}", Scene("Types", "trained in x tested in", "matrix",
                            {"test": name}), effects) for name, effects in matrix
        ]  # fmt: skip
        return [*listed, *self._curves(subject, types)]

    def left_out(self, subject: Subject) -> dict[str, str]:
        """Intensities that are not possible."""
        return {
            f"stori: type {name} at {intensity:g}": "a probability would exceed 1"
            for name, effects in self._types(subject).items()
            for intensity in self.intensities if _scaled(effects, intensity) is None
        }  # fmt: skip

    def pictures(self, subject: Subject) -> dict[str, np.ndarray]:
        """The same decision of the same game in every type, in colour."""
        if not self.pictured:
            return {}
        shown = {PLAIN: (), **self._types(subject)}
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
                if (scaled := _scaled(effects, intensity)) is not None:
                    scene = Scene("Intensity", f"type {name} (multiple of its probability)", "curve",
                                  {"intensity": float(intensity)})  # fmt: skip
                    yield self._condition(subject, f"type {name} at {intensity:g}", scene, scaled)

    def _condition(self, subject: Subject, name: str, scene: Scene, effects: Sequence[Config]) -> Condition:
        changes = {**_plain(subject), "effects": tuple(effects), "max_frames": self.max_frames}
        return Condition(name, scene, subject.env, {**subject.env_kwargs, **changes})

    def _types(self, subject: Subject) -> dict[str, Sequence[Config]]:
        """The chosen types with their effects.

        Raises:
            AskError: the environment has no types of stochasticity, or not the chosen ones.
        """
        world = subject.probe.unwrapped
        if not isinstance(world, Stochastic):
            raise AskError(
                f"The suite stori varies the stochasticity of Atari games, and {subject.env} is none: use --env "
                "agentgym/Stori-Breakout-0-v0 or another of agentgym list envs. For other environments take the "
                "suites stochasticity and perturbations."
            )
        known = world.stochastic_types
        for name in self.types:
            if name not in known:
                raise UnknownId(f"type of {subject.env}", name, known)
        return {name: effects for name, effects in known.items() if name in (self.types or known)}


def _plain(subject: Subject) -> Mapping[str, Any]:
    world = subject.probe.unwrapped
    return world.plain_arguments if isinstance(world, Stochastic) else {}


def _scaled(effects: Sequence[Config], intensity: float) -> list[Config] | None:
    """The effects with all probabilities multiplied; None if one would exceed 1."""
    scaled: list[Config] = []
    for effect in effects:
        if "concepts" in effect:
            concepts = [_scaled(concept, intensity) for concept in effect["concepts"]]
            if None in concepts:
                return None
            scaled.append({**effect, "concepts": concepts})
        else:
            probability = effect.get("probability", 1.0) * intensity
            if probability > 1:
                return None
            scaled.append({**effect, "probability": probability})
    return scaled


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
