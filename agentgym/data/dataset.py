"""A dataset of episodes as contiguous arrays, one per field, with episode offsets."""

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space

from agentgym.contracts.finite import require_finite
from agentgym.errors import InvalidParameter

__all__ = ["Description", "OfflineDataset", "Transitions"]


class Transitions(NamedTuple):
    """Steps on their own, in the dataset's order.

    Attributes:
        observations, next_observations: s and s', ``[N, *observation]``.
        actions: a, ``[N, *action]``.
        rewards: r, float32 ``[N]``.
        terminations: whether s' ends the task, float32 ``[N]``; a time-out does not, so one bootstraps from it.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_observations: np.ndarray
    terminations: np.ndarray


@dataclass(frozen=True)
class Description:
    """Metadata of a dataset.

    Attributes:
        name: its Minari id, or any name for data that is not stored.
        env: Gymnasium id of the environment; "" if unknown.
        env_kwargs: keyword arguments of the environment.
        perturbations: configurations of the perturbations around it, from the inside out.
        random_return, expert_return: reference returns for scores; None if unknown.
        record: how it was made (recipe, seed, behaviour, versions), as plain JSON values.

    Raises:
        NonFinite: a reference return is NaN or infinite.
    """

    name: str
    env: str = ""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    perturbations: tuple[Mapping[str, Any], ...] = ()
    random_return: float | None = None
    expert_return: float | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_finite(f"The references of {self.name}", [self.random_return, self.expert_return])

    def score(self, episode_return: float) -> float | None:
        """100 (R - R_random) / (R_expert - R_random) with this dataset's references; None without references.

        This is not a D4RL score: references, physics and terminations differ.
        """
        if self.random_return is None or self.expert_return is None or self.expert_return == self.random_return:
            return None
        return 100.0 * (episode_return - self.random_return) / (self.expert_return - self.random_return)


@dataclass(frozen=True)
class OfflineDataset:
    """N steps in E episodes.

    Episode ``e`` has the steps ``starts[e]`` to ``starts[e + 1]`` (exclusive) and one observation more than steps: its
    observations begin at row ``starts[e] + e``.

    Attributes:
        observations: ``[N + E, *observation]``; float32 for Box spaces of numbers, else of the space's dtype.
        actions: ``[N, *action]``; float32 for Box spaces of numbers, else of the space's dtype.
        rewards: float32 ``[N]``.
        terminations: bool ``[N]``, the step reached an end of the task.
        truncations: bool ``[N]``, the step was the last for another reason (a time limit, the recording's end).
        starts: int64 ``[E + 1]``.
        observation_space, action_space: the environment's.
        description: metadata.

    Raises:
        InvalidParameter: the arrays' lengths do not fit together, an episode has no step, or there is none.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray
    starts: np.ndarray
    observation_space: Space
    action_space: Space
    description: Description

    def __post_init__(self) -> None:
        fields = ("observations", "actions", "rewards", "terminations", "truncations", "starts")
        if single := [name for name in fields if np.ndim(getattr(self, name)) == 0]:
            raise InvalidParameter(f"The {single[0]} of {self.description.name} are a single value, not an array.")
        steps, episodes = len(self.rewards), len(self.starts) - 1
        if steps == 0:
            raise InvalidParameter(f"The dataset {self.description.name} is empty: it has no step.")
        lengths = {name: len(getattr(self, name)) for name in ("actions", "rewards", "terminations", "truncations")}
        if set(lengths.values()) != {steps} or len(self.observations) != steps + episodes or self.starts[-1] != steps:
            raise InvalidParameter(
                f"The arrays of {self.description.name} do not fit together: {lengths}, {episodes} episodes, "
                f"{len(self.observations)} observations (one a step and one more an episode), {self.starts[-1]} steps "
                "by the episodes' offsets. See: agentgym data check"
            )
        if self.starts[0] != 0 or not (self.lengths > 0).all():
            raise InvalidParameter(
                f"The episodes' offsets of {self.description.name} do not begin with 0, or an episode has no step."
            )

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def episodes(self) -> int:
        """Number of episodes E."""
        return len(self.starts) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """Steps of each episode, int64 ``[E]``."""
        return np.diff(self.starts)

    @cached_property
    def episode_of(self) -> np.ndarray:
        """Which episode each step belongs to, int64 ``[N]``."""
        return np.repeat(np.arange(self.episodes), self.lengths)

    @cached_property
    def returns(self) -> np.ndarray:
        """Sum of each episode's rewards, float64 ``[E]``."""
        return np.add.reduceat(self.rewards.astype(np.float64), self.starts[:-1])

    def returns_to_go(self, discount: float = 1.0) -> np.ndarray:
        """R_t = r_t + discount R_(t+1) within each episode, float32 ``[N]``."""
        if discount == 1.0:
            before = np.concatenate([[0.0], np.cumsum(self.rewards, dtype=np.float64)])
            return (before[self.starts[1:]][self.episode_of] - before[:-1]).astype(np.float32)
        from scipy.signal import lfilter  # takes a second to import

        backwards = self.rewards[::-1].astype(np.float64)
        ends = np.cumsum(self.lengths[::-1])
        for first, last in zip(ends - self.lengths[::-1], ends, strict=True):
            backwards[first:last] = lfilter([1.0], [1.0, -discount], backwards[first:last])
        return backwards[::-1].astype(np.float32)

    def transitions(self) -> Transitions:
        """Every step with the observations before and after it, as contiguous arrays."""
        rows = np.arange(len(self)) + self.episode_of
        return Transitions(
            self.observations[rows],
            np.asarray(self.actions),
            np.asarray(self.rewards),
            self.observations[rows + 1],
            self.terminations.astype(np.float32),
        )

    def select(self, chosen: np.ndarray, name: str) -> "OfflineDataset":
        """The episodes ``chosen`` (int64 ``[n]``, or bool ``[E]``) as a dataset of their own, called ``name``.

        Raises:
            InvalidParameter: none is chosen.
        """
        chosen = np.flatnonzero(chosen) if np.asarray(chosen).dtype == bool else np.asarray(chosen, np.int64)
        if not len(chosen):
            raise InvalidParameter(f"No episode of {self.description.name} was chosen for {name}.")
        steps = np.concatenate([np.arange(self.starts[e], self.starts[e + 1]) for e in chosen])
        rows = np.concatenate([np.arange(self.starts[e] + e, self.starts[e + 1] + e + 1) for e in chosen])
        described = Description(**{**vars(self.description), "name": name})
        return OfflineDataset(
            self.observations[rows], self.actions[steps], self.rewards[steps], self.terminations[steps],
            self.truncations[steps], np.concatenate([[0], np.cumsum(self.lengths[chosen])]),
            self.observation_space, self.action_space, described,
        )  # fmt: skip

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all arrays, their dtypes and shapes, in hexadecimal: equal data have equal digests."""
        found = hashlib.sha256()
        for name in ("observations", "actions", "rewards", "terminations", "truncations", "starts"):
            array = np.ascontiguousarray(getattr(self, name))
            found.update(f"{name} {array.dtype.str} {array.shape}".encode())
            found.update(array.data if array.size else b"")
        return found.hexdigest()

    @cached_property
    def episode_digests(self) -> list[str]:
        """The first 12 digits of a SHA-256 over each episode's arrays, to tell which one was altered."""
        found = []
        for e, (first, last) in enumerate(itertools.pairwise(self.starts.tolist())):
            digest = hashlib.sha256(np.ascontiguousarray(self.observations[first + e : last + e + 1]).tobytes())
            for array in (self.actions, self.rewards, self.terminations, self.truncations):
                digest.update(np.ascontiguousarray(array[first:last]).tobytes())
            found.append(digest.hexdigest()[:12])
        return found
