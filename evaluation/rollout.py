"""Episodes of one agent under many conditions, stepped side by side so that the policy is asked once for all.

A *lane* is an environment that plays one episode after the other. The number of lanes is fixed and idle lanes are
fed zeros, so the policy always sees a batch of one size and an episode's outcome depends neither on its neighbours nor
on how the work was cut into pieces.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from agentgym.asking import PROMISED, ask, promises
from agentgym.evaluation.conditions import Condition
from agentgym.evaluation.table import Row
from agentgym.making import make_env, perturbed
from agentgym.seeding import stream

__all__ = ["LANES", "Job", "message", "play_episodes"]

LANES = 32


@dataclass(frozen=True)
class Job:
    """One episode to play."""

    condition: Condition
    episode: int
    seed: int


class _Lane:
    """One environment, re-dressed for every job: parameters by ``reset``, perturbations by a fresh wrapper."""

    def __init__(self, blank: np.ndarray) -> None:
        self.blank = blank
        self.bases: dict[str, gymnasium.Env[Any, Any]] = {}
        self.env: gymnasium.Env[Any, Any] | None = None
        self.job: Job | None = None
        self.observation = blank
        self.reward = 0.0

    def start(self, job: Job) -> None:
        """Begin an episode; what the environment raises goes to the caller."""
        self.job, self.total, self.length = job, 0.0, 0
        self.measures: dict[str, Any] = {}
        self.promise: dict[str, float] = {}
        self.generator = stream(job.seed, "attack")
        self.env = None  # dropping the last job's wrapper undoes what it changed in the simulator
        base = self._base(job.condition)
        options = dict(job.condition.options)
        if hasattr(base.unwrapped, "parameter_ranges"):
            options.setdefault("parameters", {})  # takes back what the lane's last job had set
            base.reset(options=options)  # parameters first: perturbations of the dynamics scale what they find
        self.env = perturbed(base, job.condition.perturbations)
        self.observation, _ = self.env.reset(seed=job.seed, options=options or None)
        self.fresh = True

    def step(self, action: Any) -> bool:
        """One step; True when the episode is over."""
        assert self.env is not None
        self.observation, reward, terminated, truncated, info = self.env.step(action)
        self.reward = float(reward)  # as the agent is told it
        self.total += float(info.get("true_reward", reward))
        self.measures = info.get("measures", {})
        self.length += 1
        self.fresh = False
        return terminated or truncated

    def finish(self, agent: str, error: str = "") -> Row:
        """The episode's row; the lane is free again, and after an error its environment is thrown away."""
        assert self.job is not None
        job, self.job, self.observation = self.job, None, self.blank
        if error:
            self.close()
        score = float("nan") if error else self.total
        measures = {} if error else {name: float(value) for name, value in {**self.measures, **self.promise}.items()}
        return Row(agent, job.condition.name, job.episode, job.seed, score, self.length, error, measures=measures)

    def close(self) -> None:
        for env in self.bases.values():
            env.close()
        self.bases.clear()

    def _base(self, condition: Condition) -> gymnasium.Env[Any, Any]:
        """The bare environment of a condition; one is kept until another id or other arguments are asked for."""
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
) -> Iterator[Row]:
    """Play every job and give its row as soon as the episode ends.

    Args:
        agent: anything with Stable-Baselines3's ``predict`` and an ``observation_space``.
        name: the agent's name in the rows.
        jobs: the episodes, in the order in which they are begun.
        attacks: for each condition's name, the observation attack between environment and policy.
        lanes: environments stepped side by side.
        deterministic: the policy's mode instead of a sample.
        watch: called with every batch of true observations ``[n, ...]`` of the busy lanes.
    """
    waiting = iter(jobs)
    blank = _blank(agent.observation_space)
    all_lanes = [_Lane(blank) for _ in range(lanes)]
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
                return
            if watch is not None:
                watch(np.stack([lane.observation for lane in busy]))
            seen = _seen(agent, all_lanes, attacks or {})
            starts = np.array([lane.job is None or lane.fresh for lane in all_lanes])
            rewards = np.array([lane.reward for lane in all_lanes])
            actions, state = ask(agent, seen, state, starts, rewards, deterministic)
            promised = promises(agent, state, lanes) if any(lane.fresh for lane in busy) else None
            for index, (lane, action) in enumerate(zip(all_lanes, actions, strict=True)):
                if lane.job is None:
                    continue
                if lane.fresh and promised is not None:
                    lane.promise = {PROMISED: promised[index]}
                try:
                    if lane.step(action):
                        yield lane.finish(name)
                except Exception as error:
                    yield lane.finish(name, message(error))
    finally:
        for lane in all_lanes:
            lane.close()


def _seen(agent: Any, lanes: Sequence[_Lane], attacks: Mapping[str, Any]) -> Any:
    """What the policy sees: the lanes' observations, attacked where the condition says so."""
    seen = _batch([lane.observation for lane in lanes])
    for condition, attack in attacks.items():
        rows = [i for i, lane in enumerate(lanes) if lane.job is not None and lane.job.condition.name == condition]
        if rows:
            seen[rows] = attack.perturb(agent, seen[rows], [lanes[i].generator for i in rows])
    return seen


def _batch(observations: Sequence[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
    return np.stack(observations)


def _blank(space: gymnasium.Space[Any]) -> Any:
    """A harmless observation for lanes that wait."""
    if isinstance(space, gymnasium.spaces.Dict):
        return {key: _blank(part) for key, part in space.items()}
    return np.zeros(space.shape or (), space.dtype)


def message(error: Exception) -> str:
    """An error in one line of a row."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
