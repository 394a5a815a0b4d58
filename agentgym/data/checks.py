"""The linter: what is wrong, or suspicious, with any Minari dataset. Nothing that its files name is executed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from agentgym.data.arrays import read_arrays
from agentgym.data.dataset import OfflineDataset
from agentgym.data.fit import Leaf, misfit, outside
from agentgym.data.storage import description_of, minari_dataset, recorded_digest
from agentgym.errors import AskError, CorruptFile

__all__ = ["Finding", "check_dataset"]

SHOWN = 5  # episodes named in a finding


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    Attributes:
        level: "error", a learner would learn something false or fail; "warning", something to know or to look at.
        check: which check found it.
        message: what is wrong and, where that can be said, why and what to do.
        episodes: where, in the dataset's order; empty where it is not about episodes.
    """

    level: Literal["error", "warning"]
    check: str
    message: str
    episodes: tuple[int, ...] = ()

    @property
    def where(self) -> str:
        """The episodes in words."""
        if not self.episodes:
            return ""
        some = ", ".join(map(str, self.episodes[:SHOWN]))
        return some if len(self.episodes) <= SHOWN else f"{some}, ... ({len(self.episodes)} episodes)"


def check_dataset(name: str) -> list[Finding]:
    """Everything that is wrong with a dataset, errors first; empty where nothing is.

    Args:
        name: its Minari id, or the name of a recipe.

    Raises:
        MissingExtra: Minari is not installed.
        UnknownId, FileNotFoundError: there is no such dataset.
    """
    try:
        linter = _Linter(minari_dataset(name))
    except CorruptFile as error:
        return [Finding("error", "files", str(error))]
    findings = [*linter.metadata(), *linter.episodes(), *linter.digest()]
    return sorted(findings, key=lambda finding: finding.level)  # error, then warning


class _Linter:
    def __init__(self, stored: Any) -> None:
        self.stored, self.found = stored, dict[tuple[str, str, str], list[int]]()
        self.about: Mapping[str, Any] = stored.storage.metadata
        self.description = description_of(stored.id, self.about)
        spec = gymnasium.registry.get(self.description.env)
        self.time_limit = None if spec is None else spec.max_episode_steps
        self.previous: Any = None  # the last episode's final observation
        self.at_limit: list[bool] = []  # of episodes as long as the time limit: whether they end in termination
        self.readable = True

    def metadata(self) -> Iterator[Finding]:
        """What can be said without reading an episode."""
        env = self.description.env
        if not self.stored.total_episodes:
            yield Finding("error", "empty", "it has no episode")
        if not env:
            yield Finding(
                "warning", "environment", "it names no environment: agents are not evaluated while they learn"
            )
        elif env not in gymnasium.registry:
            yield Finding(
                "warning", "environment", f"its environment {env} is not known here: install what registers it"
            )
        if self.description.random_return is None or self.description.expert_return is None:
            yield Finding("warning", "references", "it has no reference returns: there are no scores, only returns")

    def episodes(self) -> Iterator[Finding]:
        """One pass over all of them."""
        steps = count = 0
        try:
            for count, episode in enumerate(self.stored.iterate_episodes(), start=1):
                steps += len(episode.rewards)
                self._episode(count - 1, episode)
        except Exception as error:  # h5py raises whatever a damaged file leads it to
            self.readable = False
            yield Finding("error", "files", f"what follows cannot be read ({type(error).__name__}: {error})", (count,))
        for (level, check, message), where in self.found.items():
            yield Finding(level, check, message, tuple(where))  # type: ignore[arg-type]
        if self.readable and (count, steps) != (self.stored.total_episodes, self.about.get("total_steps")):
            yield Finding(
                "error", "lengths", f"it holds {count} episodes and {steps} steps, its metadata say "
                f"{self.stored.total_episodes} and {self.about.get('total_steps')}"
            )  # fmt: skip
        if len(self.at_limit) > 1 and all(self.at_limit):
            yield Finding(
                "warning", "time-outs", f"all {len(self.at_limit)} episodes as long as the time limit of "
                f"{self.time_limit} steps end in termination: are they time-outs? Learners would take the value of "
                "their ends for 0"
            )  # fmt: skip

    def digest(self) -> Iterator[Finding]:
        """The data are those that were recorded."""
        recorded = recorded_digest(self.stored.id, self.about)
        if recorded is None or not self.readable:
            return
        try:
            arrays = read_arrays(self.stored, self.stored.id)
            found = OfflineDataset(
                **arrays, observation_space=self.stored.observation_space, action_space=self.stored.action_space,
                description=self.description,
            ).digest  # fmt: skip
        except AskError:
            return  # said already, of the episodes
        if found != recorded:
            yield Finding(
                "error", "hash", f"its data were altered: SHA-256 {found[:12]}..., recorded {recorded[:12]}..."
            )

    def _note(self, level: str, check: str, message: str, episode: int) -> None:
        self.found.setdefault((level, check, message), []).append(episode)

    def _episode(self, number: int, episode: Any) -> None:
        steps = len(episode.rewards)
        if steps == 0:
            self._note("error", "lengths", "an episode has no step", number)
        wanted = {"observations": steps + 1, "actions": steps, "terminations": steps, "truncations": steps}
        fits = steps > 0
        for what, length in wanted.items():
            for found in {_length(part) for part in _parts(getattr(episode, what))} - {length}:
                fits = False
                rule = "one more than rewards" if what == "observations" else "as many as rewards"
                self._note("error", "lengths", f"{what} are not {rule} ({found - steps:+d})", number)
        rewards = np.asarray(episode.rewards)
        if rewards.ndim != 1 or rewards.dtype.kind not in "iufb":
            self._note(
                "error", "rewards", f"rewards are no single numbers ({rewards.dtype}{rewards.shape[1:]})", number
            )
        elif not np.isfinite(rewards).all():
            self._note("error", "finite", "rewards are not finite", number)
        self._values("observations", self.stored.observation_space, episode.observations, number)
        self._values("actions", self.stored.action_space, episode.actions, number)
        if fits:
            self._ends(np.asarray(episode.terminations, bool), np.asarray(episode.truncations, bool), number)
            self._beginning(episode.observations, number)

    def _values(self, what: str, space: spaces.Space, values: Any, number: int) -> None:
        for path, leaf, part in _leaves(space, values, what):
            if complaint := misfit(leaf, part):
                self._note("error", "spaces", f"{path} do not fit {leaf}: {complaint}", number)
                continue
            finite = np.isfinite(part).reshape(len(part), -1).all(axis=1)
            if not finite.all():
                self._note("error", "finite", f"{path} are not finite", number)
            if outside(leaf, part[finite]).any():
                self._note("error", "spaces", f"{path} lie outside {leaf}", number)

    def _ends(self, terminations: np.ndarray, truncations: np.ndarray, number: int) -> None:
        for what, flags in (("terminated", terminations), ("truncated", truncations)):
            if flags[:-1].any():
                self._note("error", "ends", f"a step before the last is {what}: are these several episodes?", number)
        if not (terminations[-1] or truncations[-1]):
            self._note("warning", "ends", "the last step is neither terminated nor truncated", number)
        if len(terminations) == self.time_limit:
            self.at_limit.append(bool(terminations[-1]))

    def _beginning(self, observations: Any, number: int) -> None:
        """An episode begins where its environment was reset to, not where the one before it had ended.

        Where all observations are choices (Discrete), two that are equal prove nothing.
        """
        leaves = [part for _, leaf, part in _leaves(self.stored.observation_space, observations, "")
                  if isinstance(leaf, spaces.Box)]  # fmt: skip
        if not leaves:
            return
        first, final = [part[0] for part in leaves], [part[-1] for part in leaves]
        if self.previous is not None and all(map(np.array_equal, first, self.previous)):
            self._note(
                "error", "resets", "the first observation is the final one of the episode before: the recording kept "
                "an old observation over the reset, or cut one episode in two", number,
            )  # fmt: skip
        self.previous = final


def _parts(values: Any) -> list[Any]:
    """The arrays of a value of any space."""
    if isinstance(values, dict):
        return [leaf for part in values.values() for leaf in _parts(part)]
    if isinstance(values, tuple):
        return [leaf for part in values for leaf in _parts(part)]
    return [values]


def _length(values: Any) -> int:
    return len(values) if np.ndim(values) or isinstance(values, list) else 0


def _leaves(space: spaces.Space, values: Any, path: str) -> Iterator[tuple[str, Leaf, np.ndarray]]:
    """The arrays of numbers under a space; texts and graphs are left alone."""
    match space:
        case spaces.Dict() if isinstance(values, dict):
            for key, part in space.items():
                if key in values:
                    yield from _leaves(part, values[key], f"{path}[{key}]")
        case spaces.Tuple() if isinstance(values, tuple):
            for index, (part, own) in enumerate(zip(space, values, strict=False)):
                yield from _leaves(part, own, f"{path}[{index}]")
        case spaces.Box() | spaces.Discrete() | spaces.MultiDiscrete() | spaces.MultiBinary():
            array = np.asarray(values)
            if array.ndim:
                yield path, space, array
