"""Recipes for continuous control: random, medium, medium-replay, expert and medium-expert data of four tasks.

The kinds of data follow D4RL (Fu et al., arXiv 2004.07219); the behaviour policies are trained by agentgym.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium

from agentgym.data.dataset import Description, OfflineDataset
from agentgym.data.provenance import described, mean_and_std
from agentgym.data.recipe import Recipe, whole
from agentgym.errors import AskError, InvalidParameter
from agentgym.make import make_env
from agentgym.recipes.rollout import Act, Recording, joined, record, uniform
from agentgym.seeding import episode_seed

if TYPE_CHECKING:
    from agentgym.recipes.behaviours import Trained

__all__ = ["QUALITIES", "REFERENCE_EPISODES", "SELECTION_EPISODES", "SIZES", "Control"]

QUALITIES = ("random", "medium", "medium-replay", "expert", "medium-expert")
SIZES = {"pendulum": 20_000, "inverted-pendulum": 20_000, "hopper": 100_000, "halfcheetah": 100_000}
REFERENCE_EPISODES = 50
SELECTION_EPISODES = 20
MEDIUM = 1 / 3  # of the way from random to expert


class Part(IntEnum):
    """Parts of a recording; each has its own episode seeds."""

    DATA = 10
    SECOND_HALF = 11
    RANDOM = 12
    EXPERT = 13
    SELECTION = 14
    MODE = 15


@dataclass(frozen=True)
class Control(Recipe):
    """Data of a behaviour policy in one task.

    Args:
        task: pendulum, inverted-pendulum, hopper or halfcheetah.
        quality: one of :data:`QUALITIES`.
        noise: σ of the time-correlated action noise, in half ranges (see :mod:`agentgym.stochasticity`).
        reward_noise: standard deviation of the rewards' noise.
        size: steps; by default :data:`SIZES`.
        seed: seeds the recording. The behaviour is always trained with seed 0.

    Raises:
        InvalidParameter: a setting is out of its range, or medium-replay, which is read from the run as it is, is given
            one.
    """

    fixed: ClassVar[tuple[str, ...]] = ("task", "quality")
    percent: ClassVar[tuple[str, ...]] = ("noise",)

    task: str
    quality: str
    noise: float = 0.0
    reward_noise: float = 0.0
    size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.quality == "medium-replay" and self.chosen:
            raise InvalidParameter(
                f"{self.name} is what the behaviour's run stored while it learned, in the world as it is: it takes no "
                f"{' or '.join(self.chosen)}. Other data: {self.task}-medium, {self.task}-medium-expert."
            )
        _ = self.dial  # raises if out of range
        whole(self, "seed")
        if self.quality != "medium-replay":
            if self.size is None:
                object.__setattr__(self, "size", SIZES[self.task])
            whole(self, "size", 2)

    def default(self, setting: str) -> Any:
        """The default of a setting."""
        if setting == "size" and self.quality != "medium-replay":
            return SIZES[self.task]
        return super().default(setting)

    @property
    def stem(self) -> tuple[str, str]:
        """Family and variant."""
        return self.task, self.quality

    def make(self, runs: Path, progress: bool = True) -> OfflineDataset:
        """Make the dataset; train the behaviour first if it is missing."""
        from agentgym.recipes.behaviours import trained  # imports torch

        return _Making(self, trained(self.task, runs, progress), progress).dataset()


class _Making:
    """Makes one dataset from a trained behaviour policy."""

    def __init__(self, recipe: Control, behaviour: "Trained", progress: bool) -> None:
        self.recipe, self.behaviour, self.progress = recipe, behaviour, progress
        self.env = behaviour.run.config.env
        self.perturbations = recipe.dial.perturbations()
        self.world: Callable[[], gymnasium.Env[Any, Any]] = partial(make_env, self.env, {}, self.perturbations)
        self.nominal: Callable[[], gymnasium.Env[Any, Any]] = partial(make_env, self.env)
        self.probe = self.nominal()
        self.selection: dict[str, Any] = {}  # how the medium checkpoint was selected

    def dataset(self) -> OfflineDataset:
        recorded, behaviour = self._recorded()
        random, expert = self.nominal_references
        if self.perturbations:
            random, expert = self._references(self.world)
        mode = self._reference(self.world, Part.MODE, self.behaviour.policy(self.behaviour.final))
        protocol = (
            f"means of {REFERENCE_EPISODES} episodes in this dataset's own world: uniform actions, and the final "
            "policy, sampled as in the expert data; true rewards"
        )
        about = described(self.recipe, len(recorded.rewards), len(recorded.starts) - 1, {
            **behaviour, **mean_and_std(recorded.returns), "expert_mode_return": mode}, protocol)  # fmt: skip
        return recorded.dataset(self.probe, Description(
            self.recipe.dataset_id, self.env, {}, tuple(self.perturbations),
            random_return=random, expert_return=expert, record=about,
        ))  # fmt: skip

    def _recorded(self) -> tuple[Recording, dict[str, Any]]:
        """The recorded data and a description of the behaviour policy."""
        size, final = self.recipe.size or 0, self.behaviour.final
        match self.recipe.quality:
            case "random":
                seed = (self.recipe.seed, Part.DATA)
                return self._play(uniform(self.probe.action_space, seed), size), {"policy": "uniform actions"}
            case "medium":
                return self._sampled(self.medium, size), self._about(self.medium)
            case "expert":
                return self._sampled(final, size), self._about(final)
            case "medium-expert":
                halves = [self._sampled(self.medium, size // 2), self._sampled(final, size - size // 2,
                                                                               Part.SECOND_HALF)]  # fmt: skip
                return joined(halves), self._about(self.medium, final)
        about = {**self._about(self.medium), "policy": "all policies up to the checkpoint, sampled: its replay buffer"}
        return self.behaviour.replay(self.medium), about

    def _sampled(self, step: int, size: int, part: Part = Part.DATA) -> Recording:
        return self._play(self.behaviour.policy(step, episode_seed(self.recipe.seed, part)), size, part)

    def _play(self, act: Act, size: int, part: Part = Part.DATA) -> Recording:
        return record(self.world, act, (self.recipe.seed, part), steps=size, title=self._title(self.recipe.name))

    @cached_property
    def medium(self) -> int:
        """The first checkpoint whose return is a third of the way from random to expert, without perturbations."""
        from agentgym.progress import bar  # imports torch

        random, expert = self.nominal_references
        wanted = random + MEDIUM * (expert - random)
        steps = self.behaviour.steps
        with bar(f"{self.recipe.task}: which checkpoint is medium", len(steps), shown=self.progress) as shown:
            for number, step in enumerate(steps):
                act = self.behaviour.policy(step, episode_seed(0, Part.SELECTION, step))
                mean = float(record(self.nominal, act, (0, Part.SELECTION), episodes=SELECTION_EPISODES).returns.mean())
                shown.update(number + 1, f"return {mean:.4g} at step {step}, wanted {wanted:.4g}")
                if mean >= wanted:
                    self.selection = {"threshold": wanted, "mean": mean, "episodes": SELECTION_EPISODES}
                    return step
        raise AskError(
            f"{self.behaviour.run.path} has no checkpoint whose return is a third of the way from {random:.4g} "
            f"(random) to {expert:.4g} (its end): this behaviour did not learn."
        )

    @cached_property
    def nominal_references(self) -> tuple[float, float]:
        """Reference returns in the unperturbed environment."""
        return self._references(self.nominal)

    def _references(self, world: Callable[[], gymnasium.Env[Any, Any]]) -> tuple[float, float]:
        """Mean returns of uniform actions and of the final policy; shared by all datasets of one environment.

        The final policy is sampled, since its mode can be worse than the data, as it is in InvertedPendulum.
        """
        expert = self.behaviour.policy(self.behaviour.final, episode_seed(0, Part.EXPERT))
        anyhow = uniform(self.probe.action_space, (0, Part.RANDOM))
        return self._reference(world, Part.RANDOM, anyhow), self._reference(world, Part.EXPERT, expert)

    def _reference(self, world: Callable[[], gymnasium.Env[Any, Any]], part: Part, act: Act) -> float:
        title = self._title(f"{self.recipe.task}, reference {part.name.lower()}")
        return float(record(world, act, (0, part), episodes=REFERENCE_EPISODES, title=title).returns.mean())

    def _about(self, *steps: int) -> dict[str, Any]:
        run = self.behaviour.run
        return {
            "policy": "sampled actions", "agent": run.config.agent, "env": run.config.env, "steps": run.config.steps,
            "seed": run.config.seed, "checkpoints": list(steps),
            "sha256": [self.behaviour.digest(step) for step in steps],
            "versions": run.provenance["versions"], "selection": self.selection,
        }  # fmt: skip

    def _title(self, text: str) -> str:
        return text if self.progress else ""
