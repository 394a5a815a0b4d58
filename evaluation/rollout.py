"""Playing episodes of one agent under many conditions, and the result row of each episode.

The number of environments side by side is fixed, and idle ones show zeros, so the policy always gets batches of the
same size, and an episode's result depends neither on its neighbours nor on how the jobs were divided. If a native batch
costs little more than a single environment (as for array solvers), all episodes of a condition form one batch.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from agentgym.contracts.agent import PROMISED, acting_in, traits_of
from agentgym.contracts.environment import Uncertain
from agentgym.contracts.finite import require_finite
from agentgym.evaluation.conditions import Condition
from agentgym.evaluation.table import Row
from agentgym.make import make_env, make_native_batch, perturbed
from agentgym.play.player import Shown, Watcher, play
from agentgym.play.worlds import MAX_STEPS, Batch, Environments, Episode, Worlds, close, number
from agentgym.seeding import stream

__all__ = ["MAX_STEPS", "SIDE_BY_SIDE", "Job", "message", "play_batches", "play_episodes"]

SIDE_BY_SIDE = 32


@dataclass(frozen=True)
class Job:
    """An episode to play. ``max_steps`` applies if the environment declares no time limit."""

    condition: Condition
    episode: int
    seed: int
    max_steps: int = MAX_STEPS


def play_episodes(
    agent: Any,
    name: str,
    jobs: Sequence[Job],
    attacks: Mapping[str, Any] | None = None,
    num_envs: int = SIDE_BY_SIDE,
    deterministic: bool = True,
    watch: Callable[[Any], None] | None = None,
    together: bool = False,
) -> Iterator[Row]:
    """Play all jobs and yield each row when its episode ends.

    If an attack or the agent fails on several episodes at once, each of them is played again alone, so only those that
    cause the failure are lost.

    Args:
        agent: anything with Stable-Baselines3's ``predict`` and an ``observation_space``.
        name: the agent's name in the rows.
        jobs: the episodes, in the order in which they start. Those of a resizable agent need equal spaces.
        attacks: observation attacks by name of the condition.
        num_envs: number of environments side by side.
        deterministic: use the policy's mode instead of a sample.
        watch: called with every batch of true observations ``[n, ...]`` of the active environments.
        together: step the environments as one native batch. Requires that all conditions have the same environment
            with equal arguments, an exact native batch, and no perturbations.
    """

    def make(jobs: Sequence[Job]) -> tuple[Any, Worlds, Callable[[], None]]:
        first, size = jobs[0].condition, min(num_envs, len(jobs))
        if not together:
            player = _sized(agent, first)
            environments = _Conditions(num_envs, player.observation_space)
            return player, environments, environments.close
        batch = make_native_batch(first.env, dict(first.env_kwargs), size, AutoresetMode.DISABLED)
        return acting_in(agent, batch), Batch(batch, num_envs), lambda: close(batch)

    return _rows(name, jobs, make, attacks or {}, deterministic, watch)


def _sized(agent: Any, condition: Condition) -> Any:
    """The player for a condition's environment, which is only made for agents that depend on its size."""
    if not traits_of(agent).resizable:
        return agent
    env = make_env(condition.env, dict(condition.env_kwargs))
    try:
        return acting_in(agent, env)
    finally:
        close(env)


def play_batches(
    agent: Any,
    name: str,
    jobs: Sequence[Job],
    attacks: Mapping[str, Any] | None = None,
    deterministic: bool = True,
    watch: Callable[[Any], None] | None = None,
) -> Iterator[Row]:
    """Play all jobs in batched environments, native or text ones; arguments as for :func:`play_episodes`.

    A batch has the parameters of one condition, and its environments are the condition's episodes.
    """

    def make(jobs: Sequence[Job]) -> tuple[Any, Worlds, Callable[[], None]]:
        condition = jobs[0].condition
        env = perturbed(_batch_of(condition, len(jobs)), condition.perturbations)
        try:
            return acting_in(agent, env), Batch(env), lambda: close(env)
        except Exception:
            close(env)
            raise

    for _, group in itertools.groupby(jobs, key=lambda job: job.condition.name):
        same = list(group)
        for first in range(0, len(same), SIDE_BY_SIDE):
            yield from _rows(name, same[first : first + SIDE_BY_SIDE], make, attacks or {}, deterministic, watch)


def _batch_of(condition: Condition, count: int) -> Any:
    """The batched environment: native if there is one, otherwise (only for texts) Gymnasium's."""
    kwargs = dict(condition.env_kwargs)
    native = make_native_batch(condition.env, kwargs, count)
    if native is not None:
        return native
    return gymnasium.make_vec(
        condition.env, count, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP}, **kwargs
    )


def _rows(
    name: str,
    jobs: Sequence[Job],
    make: Callable[[Sequence[Job]], tuple[Any, Worlds, Callable[[], None]]],
    attacks: Mapping[str, Any],
    deterministic: bool,
    watch: Callable[[Any], None] | None,
) -> Iterator[Row]:
    """Play jobs in the given environments, and repeat those that fail together, each alone."""
    if not jobs:
        return
    again: list[Job] = []
    try:
        agent, worlds, close_worlds = make(jobs)
    except Exception as error:
        if len(jobs) == 1:
            yield _row(name, Episode(jobs[0].seed, job=jobs[0]), error)
            return
        again = list(jobs)
    else:
        watchers = [*([] if watch is None else [_Watch(watch)]), *([_Attacks(agent, attacks)] if attacks else [])]
        episodes = (Episode(job.seed, job.condition.options, job.max_steps, job=job) for job in jobs)
        try:
            for episode in play(agent, worlds, episodes, deterministic, watchers):
                if episode.shared:
                    again.append(episode.job)
                else:
                    yield _row(name, episode, episode.error)
        finally:
            close_worlds()
    for job in again:
        yield from _rows(name, [job], make, attacks, deterministic, watch)


def _row(name: str, episode: Episode, error: Exception | None) -> Row:
    job, measures = episode.job, {}
    if error is None:
        try:
            measures = _measures(episode)
        except Exception as wrong:
            error = wrong
    score = episode.episode_return if error is None else float("nan")
    said = "" if error is None else message(error)
    return Row(name, job.condition.name, job.episode, job.seed, score, episode.length, said, measures=measures)


def _measures(episode: Episode) -> dict[str, float]:
    """The environment's measures, the agent's predicted return, and whether the episode exceeded a reader's context.

    Raises:
        NonFinite: a measure is NaN or infinite. Measures without a value in this episode are omitted.
    """
    measures = {name: number(value) for name, value in episode.info.get("measures", {}).items()}
    if overlong := getattr(episode.state, "overlong", None):
        measures["overlong"] = float(overlong[episode.world])
    require_finite("the measure", measures)
    if episode.promised is not None:
        measures[PROMISED] = episode.promised
    return measures


class _Conditions(Environments):
    """Environments that are reconfigured for every job: parameters by ``reset``, perturbations by a new wrapper."""

    def __init__(self, count: int, observation_space: gymnasium.Space[Any]) -> None:
        super().__init__([None] * count, observation_space)
        self.bare: list[tuple[str, gymnasium.Env[Any, Any]] | None] = [None] * count

    def enter(self, world: int, episode: Episode) -> gymnasium.Env[Any, Any]:
        """The condition's environment. It is kept until a job needs another id or other arguments."""
        condition = episode.job.condition
        self.envs[world] = None  # dropping the last job's wrapper undoes its changes to the simulator
        key, kept = repr((condition.env, sorted(condition.env_kwargs.items()))), self.bare[world]
        if kept is None or kept[0] != key:
            self.drop(world)
            kept = self.bare[world] = key, make_env(condition.env, dict(condition.env_kwargs))
        if isinstance(kept[1].unwrapped, Uncertain):
            episode.options = {"parameters": {}, **condition.options}  # resets the parameters of the last job
            kept[1].reset(options=dict(episode.options))  # first, since dynamics perturbations scale the current values
        return perturbed(kept[1], condition.perturbations)

    def drop(self, world: int) -> None:
        """Discard the environment after an error."""
        if (kept := self.bare[world]) is not None:
            self.envs[world] = self.bare[world] = None
            close(kept[1])

    def close(self) -> None:
        """Close the environments."""
        for world in range(self.count):
            self.drop(world)


class _Watch(Watcher):
    """Passes on the true observations of the active environments."""

    def __init__(self, watch: Callable[[Any], None]) -> None:
        self.watch = watch

    def shown(self, shown: Shown) -> None:
        """Called before attacks."""
        self.watch(shown.observations[list(shown.episodes)])


class _Attacks(Watcher):
    """Attacks observations on their way to the agent. If an attack fails, so do all episodes of its condition."""

    def __init__(self, agent: Any, attacks: Mapping[str, Any]) -> None:
        self.agent, self.attacks = agent, attacks
        self.generators: dict[int, tuple[Episode, np.random.Generator]] = {}

    def shown(self, shown: Shown) -> None:
        """Replace the true observations by attacked ones."""
        for condition, attack in self.attacks.items():
            attacked = [w for w, episode in shown.episodes.items() if episode.job.condition.name == condition]
            if not attacked:
                continue
            try:
                seen = shown.observations.copy()
                seen[attacked] = attack.perturb(
                    self.agent, seen[attacked], [self._generator(shown.episodes[world]) for world in attacked]
                )
                shown.observations = seen
            except Exception as error:
                shown.failures.append((attacked, error))

    def _generator(self, episode: Episode) -> np.random.Generator:
        kept = self.generators.get(episode.world)
        if kept is None or kept[0] is not episode:
            kept = self.generators[episode.world] = episode, stream(episode.seed, "attack")
        return kept[1]


def message(error: Exception) -> str:
    """An error as one line for a row."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
