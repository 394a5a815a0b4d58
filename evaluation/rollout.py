"""Episodes of one agent under many conditions, stepped side by side so that the policy is asked once for all.

A *lane* is an environment that plays one episode after the other. The number of lanes is fixed and idle lanes are
fed zeros, so the policy always sees a batch of one size and an episode's outcome depends neither on its neighbours nor
on how the work was cut into pieces.
"""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from agentgym.agent import PROMISED, ask, promises
from agentgym.environment import Uncertain
from agentgym.errors import AskError, EpisodeTooLong, InvalidAction, NonFinite, SpaceMismatch
from agentgym.evaluation.conditions import Condition
from agentgym.evaluation.table import Row
from agentgym.evaluation.together import Together, World
from agentgym.finite import is_finite, require_finite
from agentgym.making import make_env, perturbed
from agentgym.seeding import stream

__all__ = ["LANES", "MAX_STEPS", "Job", "message", "play_episodes", "require_end"]

LANES = 32
MAX_STEPS = 30_000  # more than the 27,000 decisions of the longest of the usual benchmarks' episodes, Atari's


@dataclass(frozen=True)
class Job:
    """One episode to play; ``max_steps`` counts where the environment declares no time limit."""

    condition: Condition
    episode: int
    seed: int
    max_steps: int = MAX_STEPS


class _Lane:
    """One environment, re-dressed for every job: parameters by ``reset``, perturbations by a fresh wrapper.

    Args:
        blank: an observation for the time that it waits.
        world: the environment, of a batch that all lanes share; by default one of the lane's own.
    """

    def __init__(self, blank: np.ndarray, world: World | None = None) -> None:
        self.blank, self.world = blank, world
        self.bases: dict[str, gymnasium.Env[Any, Any]] = {}
        self.env: gymnasium.Env[Any, Any] | None = None
        self.job: Job | None = None
        self.observation = blank
        self.reward = 0.0

    def start(self, job: Job) -> None:
        """Begin an episode; what the environment raises goes to the caller."""
        self.job, self.total, self.length = job, 0.0, 0
        self.measures: dict[str, float] = {}
        self.promise: dict[str, float] = {}
        self.generator = stream(job.seed, "attack")
        self.env = None  # dropping the last job's wrapper undoes what it changed in the simulator
        base = self._base(job.condition)
        options = dict(job.condition.options)
        if isinstance(base.unwrapped, Uncertain):
            options.setdefault("parameters", {})  # takes back what the lane's last job had set
            base.reset(options=options)  # parameters first: perturbations of the dynamics scale what they find
        self.env = perturbed(base, job.condition.perturbations)
        self.action_space = self.env.action_space
        observation, _ = self.env.reset(seed=job.seed, options=options or None)
        require_shape(self.blank, observation, 0)
        self.observation = observation
        self.fresh = True

    def step(self, action: Any, finite: bool) -> bool:
        """One step; True when the episode is over.

        Args:
            action: the agent's.
            finite: whether all lanes' actions are known to be finite.

        Raises:
            NonFinite: action, reward, last observation, return or a measure is not finite; observations before the
                last are looked at together with the other lanes'.
            InvalidAction: the action is not the action space's.
            SpaceMismatch: the observation has another shape than the agent's.
            EpisodeTooLong: see :func:`require_end`.
        """
        assert self.env is not None
        assert self.job is not None
        require_end(self.env, self.job.max_steps, self.length)
        if not finite:
            require_finite("the action", action, at(self.length + 1))
        require_action(self.action_space, action, self.length + 1)
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.length += 1
        require_shape(self.blank, observation, self.length)
        self.observation, self.reward, self.fresh = observation, number(reward), False  # as the agent is told it
        earned = number(info["true_reward"]) if "true_reward" in info else self.reward
        if not math.isfinite(self.reward + earned):
            require_finite("the reward", (self.reward, earned), at(self.length))
        self.total += earned
        over = bool(terminated) or bool(truncated)
        if over:
            self.require_seen()
            require_finite("the return", self.total)
            self.measures = checked_measures(info.get("measures", {}))
        return over

    def require_seen(self) -> None:
        """Refuse an observation that is not finite.

        Raises:
            NonFinite: it is not; the message has step and entry.
        """
        require_finite("the observation", self.observation, at(self.length))

    def leave(self) -> Job:
        """Give up the episode; the lane is free again."""
        assert self.job is not None
        job, self.job, self.observation = self.job, None, self.blank
        return job

    def finish(self, agent: str, error: str = "") -> Row:
        """The episode's row; the lane is free again, and after an error its environment is thrown away."""
        job = self.leave()
        if error:
            self.close()
        score = float("nan") if error else self.total
        measures = {} if error else {**self.measures, **self.promise}
        return Row(agent, job.condition.name, job.episode, job.seed, score, self.length, error, measures=measures)

    def close(self) -> None:
        """Close the environments."""
        for env in self.bases.values():
            close(env)
        self.bases.clear()

    def _base(self, condition: Condition) -> gymnasium.Env[Any, Any]:
        """The bare environment of a condition; one is kept until another id or other arguments are asked for."""
        if self.world is not None:
            return self.world
        key = repr((condition.env, sorted(condition.env_kwargs.items())))
        if key not in self.bases:
            self.close()
            self.bases[key] = make_env(condition.env, dict(condition.env_kwargs))
        return self.bases[key]


def play_episodes(
    agent: Any,
    name: str,
    jobs: Sequence[Job],
    attacks: Mapping[str, Any] | None = None,
    lanes: int = LANES,
    deterministic: bool = True,
    watch: Any = None,
    together: bool = False,
) -> Iterator[Row]:
    """Play every job and give its row as soon as the episode ends.

    Where an attack or the agent fails at several episodes at once, each of them is played again alone, so that only the
    guilty ones are lost.

    Args:
        agent: anything with Stable-Baselines3's ``predict`` and an ``observation_space``.
        name: the agent's name in the rows.
        jobs: the episodes, in the order in which they are begun.
        attacks: for each condition's name, the observation attack between environment and policy.
        lanes: environments stepped side by side.
        deterministic: the policy's mode instead of a sample.
        watch: called with every batch of true observations ``[n, ...]`` of the busy lanes.
        together: step the lanes as one native batch: all conditions have one environment, which has an exact batch,
            with equal arguments, and no perturbations.
    """
    waiting = iter(jobs)
    blank = _blank(agent.observation_space)
    batch = _shared(jobs, lanes) if together and jobs else None
    worlds = [None] * lanes if batch is None else [*batch.worlds, *[None] * (lanes - len(batch.worlds))]
    all_lanes = [_Lane(blank, world) for world in worlds]
    again: list[Job] = []
    state: Any = None
    try:
        while True:
            for lane in all_lanes:
                while lane.job is None and (job := next(waiting, None)) is not None:
                    try:
                        lane.start(job)
                    except Exception as error:
                        yield lane.finish(name, message(error))
            busy = [lane for lane in all_lanes if lane.job is not None]
            if not busy:
                break
            seen = _batch([lane.observation for lane in all_lanes])
            if not is_finite(seen):
                yield from _retire_blind(busy, name)
                continue
            if watch is not None:
                watch(np.stack([lane.observation for lane in busy]))
            for condition, attack in (attacks or {}).items():
                rows = [i for i, lane in enumerate(all_lanes) if lane.job and lane.job.condition.name == condition]
                try:
                    if rows:
                        seen[rows] = attack.perturb(agent, seen[rows], [all_lanes[i].generator for i in rows])
                except Exception as error:
                    yield from _set_aside([all_lanes[i] for i in rows], name, error, again)
            starts = np.array([lane.job is None or lane.fresh for lane in all_lanes])
            rewards = np.array([lane.reward for lane in all_lanes])
            try:
                actions, state = ask(agent, seen, state, starts, rewards, deterministic)
                require_count(actions, lanes)
                promised = promises(agent, state, lanes) if any(lane.fresh for lane in busy) else None
            except Exception as error:
                yield from _set_aside([lane for lane in busy if lane.job is not None], name, error, again)
                continue
            if batch is not None:
                batch.act(actions, np.array([lane.job is not None for lane in all_lanes[: len(batch.worlds)]]))
            finite = is_finite(actions)
            for index, (lane, action) in enumerate(zip(all_lanes, actions, strict=True)):
                if lane.job is None:
                    continue
                try:
                    if lane.fresh and promised is not None:
                        require_finite("the promised return", promised[index], "at reset")
                        lane.promise = {PROMISED: float(promised[index])}
                    if lane.step(action, finite):
                        yield lane.finish(name)
                except Exception as error:
                    yield lane.finish(name, message(error))
    finally:
        for lane in all_lanes:
            lane.close()
        if batch is not None:
            close(batch)
    for job in again:
        yield from play_episodes(agent, name, [job], attacks, lanes, deterministic, watch)


def failed(name: str, job: Job, error: Exception, length: int = 0) -> Row:
    """The row of an episode that has no return."""
    return Row(name, job.condition.name, job.episode, job.seed, float("nan"), length, message(error))


def _shared(jobs: Sequence[Job], lanes: int) -> Together | None:
    """The batch of all lanes; None where it cannot be made: then the lanes' own environments say so in their rows."""
    condition = jobs[0].condition
    try:
        return Together(condition.env, dict(condition.env_kwargs), min(lanes, len(jobs)))
    except AskError:
        return None


def _retire_blind(lanes: Sequence[_Lane], name: str) -> Iterator[Row]:
    """The rows of lanes with an observation that is not finite."""
    for lane in lanes:
        try:
            lane.require_seen()
        except NonFinite as error:
            yield lane.finish(name, message(error))


def close(env: Any) -> None:
    """Close an environment; one that cannot be closed takes no row with it."""
    try:
        env.close()
    except Exception as error:
        warnings.warn(f"{env} could not be closed ({message(error)}).", stacklevel=2)


def number(value: Any) -> float:
    """A number, also from an array of one entry, as some environments give."""
    return float(value.item() if isinstance(value, np.ndarray) else value)


def _set_aside(lanes: Sequence[_Lane], name: str, error: Exception, again: list[Job]) -> Iterator[Row]:
    """Several episodes share a failure: they are put off. Of one alone it is the row."""
    if len(lanes) == 1:
        yield lanes[0].finish(name, message(error))
    else:
        again += [lane.leave() for lane in lanes]


def require_end(env: Any, max_steps: int, length: int) -> None:
    """Refuse to go on with an episode that should be over.

    Args:
        env: the world or the batch, with its wrappers.
        max_steps: the most steps where the environment declares no time limit (``spec.max_episode_steps``).
        length: steps played so far.

    Raises:
        EpisodeTooLong: there have been as many.
    """
    if length < max_steps:
        return
    limit = env.spec and env.spec.max_episode_steps
    if limit is None or length >= limit:
        raise EpisodeTooLong(
            f"not over after {length} steps, and the environment declares no longer time limit. Give it one "
            "(--env-kwargs max_episode_steps=N), or wait longer with --max-steps N."
        )


def require_count(actions: Any, count: int) -> None:
    """Refuse a prediction that is not one action a world.

    Raises:
        InvalidAction: there are more or fewer.
    """
    found = len(actions) if hasattr(actions, "__len__") and np.ndim(actions) else 0
    if found != count:
        raise InvalidAction(f"predict() gave {found} actions for {count} observations; it must give one for each.")


def at(step: int) -> str:
    """Where in an episode something is wrong, for messages."""
    return f"at step {step}" if step else "at reset"


def require_action(space: gymnasium.Space[Any], action: Any, step: int) -> None:
    """Refuse an action that no environment of this action space can take.

    A Box's bounds are left to the environment: many cut what lies outside, some take it.

    Raises:
        InvalidAction: it has another shape, or is none of those to choose from.
    """
    if isinstance(space, gymnasium.spaces.Box):
        if np.shape(action) != space.shape:
            raise InvalidAction(f"the action {at(step)} has the shape {np.shape(action)}, not {space.shape}.")
    elif not (_is_choice(space, action) or space.contains(action)):
        raise InvalidAction(f"the action {at(step)} is {action!r}, which is not in {space}.")


def _is_choice(space: gymnasium.Space[Any], action: Any) -> bool:
    """What ``contains`` finds of NumPy's integers, in a tenth of the time."""
    if not isinstance(space, gymnasium.spaces.Discrete) or not isinstance(action, np.integer):
        return False
    return bool(space.start <= action < space.start + space.n)


def require_shape(blank: Any, observation: Any, step: int) -> None:
    """Refuse an observation of another shape than ``blank``.

    Raises:
        SpaceMismatch: shapes, or a dictionary's keys, are others.
    """
    if isinstance(blank, dict):
        if not isinstance(observation, dict) or observation.keys() != blank.keys():
            raise SpaceMismatch(f"the observation {at(step)} is no dictionary of {', '.join(map(str, blank))}.")
        for key, part in blank.items():
            require_shape(part, observation[key], step)
    elif np.shape(observation) != blank.shape:
        raise SpaceMismatch(
            f"the observation {at(step)} has the shape {np.shape(observation)}, and its space {blank.shape}."
        )


def checked_measures(measures: Mapping[str, Any]) -> dict[str, float]:
    """An episode's measures as floats.

    Raises:
        NonFinite: one is NaN or infinite. A measure that has no value in this episode is left out.
    """
    found = {name: number(value) for name, value in measures.items()}
    require_finite("the measure", found)
    return found


def _batch(observations: Sequence[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
    return np.stack(observations)


def _blank(space: gymnasium.Space[Any]) -> Any:
    """A harmless observation for lanes that wait."""
    if isinstance(space, gymnasium.spaces.Dict):
        return {key: _blank(part) for key, part in space.items()}
    nothing = np.zeros(space.shape or (), space.dtype)
    if isinstance(space, gymnasium.spaces.Box):
        return np.clip(nothing, space.low, space.high)
    return nothing + np.asarray(getattr(space, "start", 0), space.dtype)


def message(error: Exception) -> str:
    """An error in one line of a row."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
