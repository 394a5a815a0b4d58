"""The worlds that the player of episodes steps: single environments side by side, or the worlds of a batch.

Both answer alike, world by world, so that whoever plays does not know which it is.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from agentgym.errors import EpisodeTooLong, SpaceMismatch
from agentgym.vector import NativeVectorEnv
from agentgym.vector.infos import info_of

__all__ = ["MAX_STEPS", "Batch", "Environments", "Episode", "Result", "Worlds", "blank_of", "close", "row"]

MAX_STEPS = 30_000  # more than the 27,000 decisions of the longest of the usual benchmarks' episodes, Atari's


@dataclass(eq=False)
class Episode:
    """An episode to play, and what came of it.

    Args:
        seed: of its reset.
        options: of its reset.
        max_steps: it fails after so many steps where its environment declares no longer time limit.
        cut_after: it ends after so many steps, without having failed; None: by itself only.
        of: what it belongs to, for messages: " of the evaluation with seed 3".
        job: what the caller knows it by.

    Attributes:
        world: index of the world that it is played in.
        length: steps so far.
        episode_return: undiscounted sum of the true rewards (``info["true_reward"]`` where the reward is perturbed).
        promised: the return that the agent promised at its start; None where it promises none.
        terminated, truncated: how it ended; both are false while it goes on, and where it was cut or failed.
        info: of its last step; a batch's ``final_info`` included.
        state: the agent's state (of all worlds) after its last action.
        error: why it failed; None where it did not.
        shared: the error struck several episodes at once: played alone, those that are not to blame may succeed.
    """

    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    max_steps: int = MAX_STEPS
    cut_after: int | None = None
    of: str = ""
    job: Any = None
    world: int = field(default=-1, init=False)
    length: int = field(default=0, init=False)
    episode_return: float = field(default=0.0, init=False)
    promised: float | None = field(default=None, init=False)
    terminated: bool = field(default=False, init=False)
    truncated: bool = field(default=False, init=False)
    info: dict[str, Any] = field(default_factory=dict, init=False)
    state: Any = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)
    shared: bool = field(default=False, init=False)

    def at(self, step: int) -> str:
        """Where in the episode something is wrong, for messages."""
        return f"at step {step}{self.of}" if step else f"at reset{self.of}"

    def require_end(self, limit: int | None) -> None:
        """Refuse to go on where the episode should be over.

        Raises:
            EpisodeTooLong: it has had ``max_steps``, and the environment's time limit (None: it has none) is no longer.
        """
        if self.length >= self.max_steps and (limit is None or self.length >= limit):
            raise EpisodeTooLong(
                f"not over after {self.length} steps{self.of}, and the environment declares no longer time limit. Give "
                "it one (--env-kwargs max_episode_steps=N), or wait longer with --max-steps N."
            )


class Result(NamedTuple):
    """What a step gave one world.

    Attributes:
        observation: the episode's last one where it ends, also where the world has begun another.
        reward: as the agent is told it.
        true_reward: as it counts.
        terminated, truncated: whether the episode ends.
    """

    observation: Any
    reward: float
    true_reward: float
    terminated: bool
    truncated: bool


class Worlds(Protocol):
    """Worlds side by side, each with one episode after the other, or none: then it waits.

    Attributes:
        count: how many there are; the agent is always asked for all of them.
    """

    count: int

    def start(self, world: int, episode: Episode) -> None:
        """Begin an episode; an error is this episode's."""

    def observe(self, playing: Sequence[int]) -> Any:
        """Observations of all worlds as the agent is asked about them; of worlds that wait something harmless."""

    def commands(self, playing: Sequence[int]) -> list[Any] | None:
        """The admissible commands of each world of texts; None where the worlds are none."""

    def step(self, actions: Any, playing: Sequence[int]) -> Mapping[int, Result | Exception]:
        """Step the worlds that are played; an error that is raised is all episodes'."""

    def info(self, world: int) -> dict[str, Any]:
        """What the world told in its last step, or at its reset."""

    def action_space(self, world: int) -> spaces.Space[Any]:
        """Of one world."""

    def time_limit(self, world: int) -> int | None:
        """Steps after which the environment itself ends an episode; None if it does not say."""

    def drop(self, world: int) -> None:
        """The episode in this world has failed."""


class Environments:
    """Single environments side by side.

    Args:
        envs: the environments; they stay the caller's to close.
        observation_space: of each.
    """

    def __init__(self, envs: Sequence[gymnasium.Env[Any, Any] | None], observation_space: spaces.Space[Any]) -> None:
        self.envs, self.count, self.blank = list(envs), len(envs), blank_of(observation_space)
        self.shape = None if self.blank is None or isinstance(self.blank, dict) else self.blank.shape
        self.observations = [self.blank] * self.count
        self.infos: list[dict[str, Any]] = [{}] * self.count
        self.action_spaces: list[Any] = [None] * self.count
        self.episodes: list[Any] = [None] * self.count

    def enter(self, world: int, episode: Episode) -> gymnasium.Env[Any, Any]:
        """The environment for an episode."""
        env = self.envs[world]
        assert env is not None
        return env

    def start(self, world: int, episode: Episode) -> None:
        """Begin an episode.

        Raises:
            SpaceMismatch: the observation has another shape than the observation space.
        """
        env = self.envs[world] = self.enter(world, episode)
        observation, self.infos[world] = env.reset(seed=episode.seed, options=dict(episode.options) or None)
        _require_shape(self.blank, observation, episode.at(0))
        self.observations[world], self.action_spaces[world] = observation, env.action_space
        self.episodes[world] = episode

    def observe(self, playing: Sequence[int]) -> Any:
        """Observations of all worlds, stacked, or a list of texts; of worlds that wait a blank one."""
        for world in set(range(self.count)) - set(playing):
            self.observations[world] = self.blank
        return list(self.observations) if self.blank is None else _stacked(self.observations)

    def commands(self, playing: Sequence[int]) -> list[Any] | None:
        """What each world of texts admits; None where the worlds are none."""
        return None if self.blank is not None else [info.get("admissible_commands") for info in self.infos]

    def step(self, actions: Any, playing: Sequence[int]) -> dict[int, Result | Exception]:
        """Step the worlds that are played, one after the other."""
        results: dict[int, Result | Exception] = {}
        for world in playing:
            try:
                observation, told, terminated, truncated, info = self.envs[world].step(actions[world])  # type: ignore[union-attr]
                if self.shape is None or np.shape(observation) != self.shape:
                    episode = self.episodes[world]
                    _require_shape(self.blank, observation, episode.at(episode.length + 1))
                self.observations[world], self.infos[world] = observation, info
                reward = number(told)
                true = number(info["true_reward"]) if "true_reward" in info else reward
                results[world] = Result(observation, reward, true, bool(terminated), bool(truncated))
            except Exception as error:
                results[world] = error
        return results

    def info(self, world: int) -> dict[str, Any]:
        """What the environment told last."""
        return self.infos[world]

    def action_space(self, world: int) -> spaces.Space[Any]:
        """Of the environment, with its wrappers."""
        space: spaces.Space[Any] = self.action_spaces[world]
        return space

    def time_limit(self, world: int) -> int | None:
        """What the environment's spec declares."""
        env = self.envs[world]
        return None if env is None or env.spec is None else env.spec.max_episode_steps

    def drop(self, world: int) -> None:
        """Nothing is to be done: the next episode resets the environment."""


class Batch:
    """The worlds of a batch, with perturbations around it or none.

    Where worlds start over only when they are reset (``AutoresetMode.DISABLED``, of an exact :class:`NativeVectorEnv`),
    each takes one episode after the other, and those without one rest. Otherwise they are all reset at once, and there
    are as many episodes as worlds, with equal options.

    Args:
        env: the batch; it stays the caller's to close.
        count: how many worlds the agent is asked for, at least those of the batch.
    """

    def __init__(self, env: Any, count: int | None = None) -> None:
        self.env, self.size = env, env.num_envs
        self.count = count or self.size
        self.one_by_one = env.metadata.get("autoreset_mode") is AutoresetMode.DISABLED
        self.blank = blank_of(env.single_observation_space)
        self.idle_action = blank_of(env.single_action_space)
        self._waiting: list[Episode] = []
        self._episodes: dict[int, Episode] = {}
        self._observations: Any = None
        self._infos: list[dict[str, Any]] = [{}] * self.count

    def start(self, world: int, episode: Episode) -> None:
        """Begin an episode."""
        self._episodes[world] = episode
        if not self.one_by_one:
            self._waiting.append(episode)
            return
        options, mask = dict(episode.options), np.arange(self.size) == world
        if "parameters" in self.env.reset_options:
            options.setdefault("parameters", {})  # takes back what an earlier episode was given
        seeds = [episode.seed if chosen else None for chosen in mask.tolist()]
        self._observations, self._infos[world] = self.env.reset(seed=seeds, options={**options, "reset_mask": mask})

    def observe(self, playing: Sequence[int]) -> Any:
        """Observations of all worlds; of those that wait a blank one.

        Raises:
            SpaceMismatch: they have another shape than their space.
        """
        if self._waiting:
            begun, self._waiting = self._waiting, []
            assert len(begun) == self.size
            self._observations, infos = self.env.reset(
                seed=[episode.seed for episode in begun], options=dict(begun[0].options) or None
            )
            self._infos = [infos] * self.count
            _require_shape(self.blank, row(self._observations, 0), begun[0].at(0))
        if self.blank is None:
            seen = [self._observations[world] if world in playing else None for world in range(self.count)]
            for world in playing:
                _require_shape(None, seen[world], "")
            return seen
        if len(playing) == self.count:
            return self._observations
        return _only(self._observations, list(playing), self.blank, self.count)

    def commands(self, playing: Sequence[int]) -> list[Any] | None:
        """What each world of texts admits; None where the worlds are none."""
        if self.blank is not None:
            return None
        return [self.info(world).get("admissible_commands") if world in playing else None for world in range(self.size)]

    def step(self, actions: Any, playing: Sequence[int]) -> dict[int, Result | Exception]:
        """Step the worlds together; those that are not played rest, or take an action of no meaning."""
        if not playing:
            return {}
        if self.blank is None:
            actions = tuple(actions)
        elif len(playing) < self.count:
            actions = np.array(actions)[: self.size]
            idle = np.ones(self.size, bool)
            idle[playing] = False
            actions[idle] = self.idle_action
            if self.one_by_one:
                self.env.rest(idle)
        self._observations, rewards, terminated, truncated, infos = self.env.step(actions)
        self._infos = [infos] * self.count
        if self.blank is not None:
            episode = self._episodes[playing[0]]
            _require_shape(self.blank, row(self._observations, 0), episode.at(episode.length + 1))
        last = self._observations
        if "final_obs" in infos:
            ended = infos.get("_final_obs", np.ones(self.size, bool))
            last = [infos["final_obs"][w] if ended[w] else row(self._observations, w) for w in range(self.size)]
        columns = [np.asarray(each).tolist() for each in (rewards, _true(rewards, infos), terminated, truncated)]
        return {world: Result(row(last, world), *(column[world] for column in columns)) for world in playing}

    def info(self, world: int) -> dict[str, Any]:
        """What the batch told of the world last; at an episode's end what it told of this episode."""
        info = info_of(self._infos[world], world)
        return {**info, **info.get("final_info", {})}

    def action_space(self, world: int) -> spaces.Space[Any]:
        """Of one world."""
        space: spaces.Space[Any] = self.env.single_action_space
        return space

    def time_limit(self, world: int) -> int | None:
        """The batch's own, or what its spec declares."""
        batch = self.env.unwrapped
        if isinstance(batch, NativeVectorEnv) and batch.max_episode_steps is not None:
            return batch.max_episode_steps
        return self.env.spec and self.env.spec.max_episode_steps

    def drop(self, world: int) -> None:
        """Nothing is to be done: the world waits from now on."""


def _true(rewards: Any, infos: Mapping[str, Any]) -> Any:
    """The true rewards [N]; those of an episode's last step stand in ``final_info``."""
    for told in (infos, infos.get("final_info", {})):
        if "true_reward" in told:
            rewards = np.where(told.get("_true_reward", True), told["true_reward"], rewards)
    return rewards


def row(observations: Any, world: int) -> Any:
    """One world's part of the observations of all."""
    if isinstance(observations, dict):
        return {key: row(part, world) for key, part in observations.items()}
    return observations[world]


def _stacked(observations: Sequence[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: _stacked([one[key] for one in observations]) for key in observations[0]}
    return np.stack(observations)


def _only(observations: Any, playing: list[int], blank: Any, count: int) -> Any:
    """The observations of the worlds that are played; blank ones of the rest, ``count`` in all."""
    if isinstance(observations, dict):
        return {key: _only(part, playing, blank[key], count) for key, part in observations.items()}
    filled = np.empty((count, *blank.shape), observations.dtype)
    filled[:] = blank
    filled[playing] = observations[playing]
    return filled


def blank_of(space: spaces.Space[Any]) -> Any:
    """A harmless member of a space, for worlds that wait; None of texts."""
    if isinstance(space, spaces.Text):
        return None
    if isinstance(space, spaces.Dict):
        return {key: blank_of(part) for key, part in space.items()}
    nothing = np.zeros(space.shape or (), space.dtype)
    if isinstance(space, spaces.Box):
        return np.clip(nothing, space.low, space.high)
    return nothing + np.asarray(getattr(space, "start", 0), space.dtype)


def number(value: Any) -> float:
    """A number, also from an array of one entry, as some environments give."""
    return float(value.item() if isinstance(value, np.ndarray) else value)


def _require_shape(blank: Any, observation: Any, where: str) -> None:
    """Refuse an observation of another shape than ``blank``, None of texts.

    Raises:
        SpaceMismatch: shapes, or a dictionary's keys, are others, or it is no text.
    """
    if blank is None:
        if not isinstance(observation, str):  # None would be read as an episode that waits
            raise SpaceMismatch(f"An observation of a world of texts is a string, not {observation!r}.")
    elif isinstance(blank, dict):
        if not isinstance(observation, dict) or observation.keys() != blank.keys():
            raise SpaceMismatch(f"the observation {where} is no dictionary of {', '.join(map(str, blank))}.")
        for key, part in blank.items():
            _require_shape(part, observation[key], where)
    elif np.shape(observation) != blank.shape:
        raise SpaceMismatch(
            f"the observation {where} has the shape {np.shape(observation)}, and its space {blank.shape}."
        )


def close(env: Any) -> None:
    """Close an environment; one that cannot be closed takes no result with it."""
    try:
        env.close()
    except Exception as error:
        warnings.warn(f"{env} could not be closed ({type(error).__name__}: {error}).", stacklevel=2)
