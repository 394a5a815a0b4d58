"""The environments that episodes are played in: a list of single environments, or the sub-environments of a batch.

Both have the same interface, :class:`Worlds`. A *world* is one single environment or one sub-environment of a batch.
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
    """An episode to play, and its results.

    Args:
        seed: seed of the reset.
        options: options of the reset.
        max_steps: the episode fails after this many steps unless its environment declares a longer time limit.
        cut_after: the episode is cut after this many steps without failing; None for no cut.
        of: context for messages, e.g. " of the evaluation with seed 3".
        job: an identifier for the caller.

    Attributes:
        world: index of the world that the episode is played in.
        length: steps so far.
        episode_return: undiscounted sum of the true rewards (``info["true_reward"]`` if rewards are perturbed).
        promised: return that the agent promised at the start; None if it makes no promise.
        terminated, truncated: how the episode ended; both False while it runs, and if it was cut or failed.
        info: info of the last step, including ``final_info`` of a batch.
        state: the agent's state (for all worlds) after the last action.
        error: why the episode failed; None if it did not fail.
        shared: whether the error affected several episodes at once; some of them may succeed if played alone.
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
        """The position in the episode, for messages."""
        return f"at step {step}{self.of}" if step else f"at reset{self.of}"

    def require_end(self, limit: int | None) -> None:
        """Refuse to continue an episode that should be over.

        Raises:
            EpisodeTooLong: the episode reached ``max_steps``, and the environment has no longer time limit.
        """
        if self.length >= self.max_steps and (limit is None or self.length >= limit):
            raise EpisodeTooLong(
                f"not over after {self.length} steps{self.of}, and the environment declares no longer time limit. Give "
                "it one (--env-kwargs max_episode_steps=N), or wait longer with --max-steps N."
            )


class Result(NamedTuple):
    """The result of a step in one world.

    Attributes:
        observation: next observation; the final one if the episode ends, even if the world has restarted.
        reward: observed reward.
        true_reward: reward before perturbations.
        terminated, truncated: whether and how the episode ends.
    """

    observation: Any
    reward: float
    true_reward: float
    terminated: bool
    truncated: bool


class Worlds(Protocol):
    """Several worlds, each idle or playing one episode after another.

    Attributes:
        count: number of worlds; every ``predict`` call covers all of them.
    """

    count: int

    def start(self, world: int, episode: Episode) -> None:
        """Start an episode. An exception fails this episode only."""

    def observe(self, playing: Sequence[int]) -> Any:
        """Observations of all worlds for ``predict``, with placeholders for idle ones."""

    def commands(self, playing: Sequence[int]) -> list[Any] | None:
        """Admissible commands of each text environment; None for other environments."""

    def step(self, actions: Any, playing: Sequence[int]) -> Mapping[int, Result | Exception]:
        """Step the worlds in ``playing``. A raised exception fails all episodes."""

    def info(self, world: int) -> dict[str, Any]:
        """Info of the last step or reset of a world."""

    def action_space(self, world: int) -> spaces.Space[Any]:
        """Action space of a world."""

    def time_limit(self, world: int) -> int | None:
        """Declared time limit of a world in steps; None if there is none."""

    def drop(self, world: int) -> None:
        """Called if the episode in this world has failed."""


class Environments:
    """A list of single environments.

    Args:
        envs: the environments; the caller closes them.
        observation_space: observation space of each.
    """

    def __init__(self, envs: Sequence[gymnasium.Env[Any, Any] | None], observation_space: spaces.Space[Any]) -> None:
        self.envs, self.count, self.blank = list(envs), len(envs), blank_of(observation_space)
        self.shape = None if self.blank is None or isinstance(self.blank, dict) else self.blank.shape
        self.observations = [self.blank] * self.count
        self.infos: list[dict[str, Any]] = [{}] * self.count
        self.action_spaces: list[Any] = [None] * self.count
        self.episodes: list[Any] = [None] * self.count

    def enter(self, world: int, episode: Episode) -> gymnasium.Env[Any, Any]:
        """Return the environment for an episode."""
        env = self.envs[world]
        assert env is not None
        return env

    def start(self, world: int, episode: Episode) -> None:
        """Start an episode.

        Raises:
            SpaceMismatch: the shape of the observation differs from that of the observation space.
        """
        env = self.envs[world] = self.enter(world, episode)
        observation, self.infos[world] = env.reset(seed=episode.seed, options=dict(episode.options) or None)
        _require_shape(self.blank, observation, episode.at(0))
        self.observations[world], self.action_spaces[world] = observation, env.action_space
        self.episodes[world] = episode

    def observe(self, playing: Sequence[int]) -> Any:
        """Stacked observations, or a list of texts, with placeholders for idle environments."""
        for world in set(range(self.count)) - set(playing):
            self.observations[world] = self.blank
        return list(self.observations) if self.blank is None else _stacked(self.observations)

    def commands(self, playing: Sequence[int]) -> list[Any] | None:
        """Admissible commands of each text environment; None for other environments."""
        return None if self.blank is not None else [info.get("admissible_commands") for info in self.infos]

    def step(self, actions: Any, playing: Sequence[int]) -> dict[int, Result | Exception]:
        """Step the environments in ``playing`` one after another."""
        results: dict[int, Result | Exception] = {}
        for world in playing:
            try:
                observation, value, terminated, truncated, info = self.envs[world].step(actions[world])  # type: ignore[union-attr]
                if self.shape is None or np.shape(observation) != self.shape:
                    episode = self.episodes[world]
                    _require_shape(self.blank, observation, episode.at(episode.length + 1))
                self.observations[world], self.infos[world] = observation, info
                reward = number(value)
                true = number(info["true_reward"]) if "true_reward" in info else reward
                results[world] = Result(observation, reward, true, bool(terminated), bool(truncated))
            except Exception as error:
                results[world] = error
        return results

    def info(self, world: int) -> dict[str, Any]:
        """Info of the last step or reset."""
        return self.infos[world]

    def action_space(self, world: int) -> spaces.Space[Any]:
        """Action space of the environment with its wrappers."""
        space: spaces.Space[Any] = self.action_spaces[world]
        return space

    def time_limit(self, world: int) -> int | None:
        """The time limit in the environment's spec."""
        env = self.envs[world]
        return None if env is None or env.spec is None else env.spec.max_episode_steps

    def drop(self, world: int) -> None:
        """Do nothing: the next episode resets the environment."""


class Batch:
    """The sub-environments of a batch, with or without perturbations.

    With ``AutoresetMode.DISABLED`` (an exact :class:`NativeVectorEnv`), each sub-environment plays one episode after
    another, and idle ones rest. In other modes they are all reset at once, and there must be as many episodes as
    sub-environments, with equal options.

    Args:
        env: the batch; the caller closes it.
        count: batch size of ``predict`` calls, at least that of ``env``.
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
        """Start an episode."""
        self._episodes[world] = episode
        if not self.one_by_one:
            self._waiting.append(episode)
            return
        options, mask = dict(episode.options), np.arange(self.size) == world
        if "parameters" in self.env.reset_options:
            options.setdefault("parameters", {})  # undo parameters of an earlier episode
        seeds = [episode.seed if chosen else None for chosen in mask.tolist()]
        self._observations, self._infos[world] = self.env.reset(seed=seeds, options={**options, "reset_mask": mask})

    def observe(self, playing: Sequence[int]) -> Any:
        """Observations of all sub-environments, with placeholders for idle ones.

        Raises:
            SpaceMismatch: the shape of the observations differs from that of the observation space.
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
        """Admissible commands of each text environment; None for other environments."""
        if self.blank is not None:
            return None
        return [self.info(world).get("admissible_commands") if world in playing else None for world in range(self.size)]

    def step(self, actions: Any, playing: Sequence[int]) -> dict[int, Result | Exception]:
        """Step the batch. Idle sub-environments rest, or take a placeholder action."""
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
        """Info of the last step or reset of a sub-environment; at the end of an episode, including its final info."""
        info = info_of(self._infos[world], world)
        return {**info, **info.get("final_info", {})}

    def action_space(self, world: int) -> spaces.Space[Any]:
        """Action space of one sub-environment."""
        space: spaces.Space[Any] = self.env.single_action_space
        return space

    def time_limit(self, world: int) -> int | None:
        """The time limit of the batch, or the one in its spec."""
        batch = self.env.unwrapped
        if isinstance(batch, NativeVectorEnv) and batch.max_episode_steps is not None:
            return batch.max_episode_steps
        return self.env.spec and self.env.spec.max_episode_steps

    def drop(self, world: int) -> None:
        """Do nothing: the sub-environment is idle from now on."""


def _true(rewards: Any, infos: Mapping[str, Any]) -> Any:
    """The true rewards [N]. ``final_info`` holds those of the last step of an episode."""
    for part in (infos, infos.get("final_info", {})):
        if "true_reward" in part:
            rewards = np.where(part.get("_true_reward", True), part["true_reward"], rewards)
    return rewards


def row(observations: Any, world: int) -> Any:
    """The observation of one world."""
    if isinstance(observations, dict):
        return {key: row(part, world) for key, part in observations.items()}
    return observations[world]


def _stacked(observations: Sequence[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: _stacked([each[key] for each in observations]) for key in observations[0]}
    return np.stack(observations)


def _only(observations: Any, playing: list[int], blank: Any, count: int) -> Any:
    """Observations [count, ...] of the worlds in ``playing``, with placeholders for the rest."""
    if isinstance(observations, dict):
        return {key: _only(part, playing, blank[key], count) for key, part in observations.items()}
    filled = np.empty((count, *blank.shape), observations.dtype)
    filled[:] = blank
    filled[playing] = observations[playing]
    return filled


def blank_of(space: spaces.Space[Any]) -> Any:
    """A placeholder from a space, for idle worlds; None for texts."""
    if isinstance(space, spaces.Text):
        return None
    if isinstance(space, spaces.Dict):
        return {key: blank_of(part) for key, part in space.items()}
    nothing = np.zeros(space.shape or (), space.dtype)
    if isinstance(space, spaces.Box):
        return np.clip(nothing, space.low, space.high)
    return nothing + np.asarray(getattr(space, "start", 0), space.dtype)


def number(value: Any) -> float:
    """Convert a number, or an array with one entry as some environments return, to a float."""
    return float(value.item() if isinstance(value, np.ndarray) else value)


def _require_shape(blank: Any, observation: Any, where: str) -> None:
    """Refuse an observation whose shape differs from ``blank`` (None for texts).

    Raises:
        SpaceMismatch: the shape or the keys of a dictionary differ, or a text is expected.
    """
    if blank is None:
        if not isinstance(observation, str):  # None would mark an idle environment
            raise SpaceMismatch(f"An observation of a text environment must be a string, not {observation!r}.")
    elif isinstance(blank, dict):
        if not isinstance(observation, dict) or observation.keys() != blank.keys():
            raise SpaceMismatch(f"the observation {where} is not a dictionary of {', '.join(map(str, blank))}.")
        for key, part in blank.items():
            _require_shape(part, observation[key], where)
    elif np.shape(observation) != blank.shape:
        raise SpaceMismatch(
            f"the observation {where} has the shape {np.shape(observation)}, but its space has {blank.shape}."
        )


def close(env: Any) -> None:
    """Close an environment. An error causes a warning only, so that no results are lost."""
    try:
        env.close()
    except Exception as error:
        warnings.warn(f"{env} could not be closed ({type(error).__name__}: {error}).", stacklevel=2)
