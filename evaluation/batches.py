"""Episodes of natively batched environments: all of a condition's at once, in one batch.

Where a batch of worlds costs little more than one (a solver that works on arrays), this is what makes a suite
affordable. A condition's fluid, masses or box are the batch's; its episodes are the worlds.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Text

from agentgym.agent import PROMISED, acting_in, ask, promises
from agentgym.errors import EpisodeTooLong
from agentgym.evaluation.conditions import Condition
from agentgym.evaluation.rollout import (
    LANES,
    Job,
    at,
    checked_measures,
    close,
    failed,
    require_count,
    require_end,
    require_shape,
)
from agentgym.evaluation.table import Row
from agentgym.evaluation.texts import play_texts
from agentgym.finite import require_finite
from agentgym.making import make_native_batch, perturbed
from agentgym.seeding import stream

__all__ = ["play_batches"]


def play_batches(
    agent: Any,
    name: str,
    jobs: Sequence[Job],
    attacks: Mapping[str, Any] | None = None,
    deterministic: bool = True,
    watch: Any = None,
) -> Iterator[Row]:
    """Play every job; arguments as for :func:`agentgym.evaluation.rollout.play_episodes`.

    Where something fails in a batch, its episodes are played again one by one, so that only the guilty ones are lost.
    """
    for _, group in itertools.groupby(jobs, key=lambda job: job.condition.name):
        for chunk in _chunks(list(group)):
            condition = chunk[0].condition
            attack = (attacks or {}).get(condition.name)
            try:
                if isinstance(agent.observation_space, Text):
                    yield from play_texts(agent, name, condition, chunk, deterministic)
                else:
                    yield from _play(agent, name, condition, chunk, attack, deterministic, watch)
            except Exception as error:
                if len(chunk) == 1:
                    yield failed(name, chunk[0], error)
                    continue
                for job in chunk:
                    yield from play_batches(agent, name, [job], attacks, deterministic, watch)


def _chunks(jobs: list[Job]) -> Iterator[list[Job]]:
    for first in range(0, len(jobs), LANES):
        yield jobs[first : first + LANES]


def _play(
    agent: Any, name: str, condition: Condition, jobs: Sequence[Job], attack: Any, deterministic: bool, watch: Any
) -> list[Row]:
    """One batch from reset to the end of its last episode."""
    made: Any = make_native_batch(condition.env, dict(condition.env_kwargs), len(jobs))
    env: Any = perturbed(made, condition.perturbations)
    try:
        player = acting_in(agent, env)
        generators = [stream(job.seed, "attack") for job in jobs]
        observations, _ = env.reset(seed=[job.seed for job in jobs], options=dict(condition.options) or None)
        rows: dict[int, Row] = {}
        totals, starts, state, length = np.zeros(len(jobs)), np.ones(len(jobs), bool), None, 0
        rewards, promised = np.zeros(len(jobs)), None
        blank = np.broadcast_to(np.float32(0.0), env.single_observation_space.shape)
        _require_seen(blank, observations, 0)
        while len(rows) < len(jobs):
            try:
                require_end(env, jobs[0].max_steps, length)
            except EpisodeTooLong as error:  # those that are over keep their rows
                left = [job for index, job in enumerate(jobs) if index not in rows]
                return [*rows.values(), *(failed(name, job, error, length) for job in left)]
            if watch is not None:
                watch(observations)
            seen = observations if attack is None else attack.perturb(player, observations, generators)
            actions, state = ask(player, seen, state, starts, rewards, deterministic)
            require_count(actions, len(jobs))
            where = at(length + 1)
            _require_finite("the action", actions, where)
            if length == 0 and (promised := promises(player, state, len(jobs))) is not None:
                _require_finite("the promised return", promised, "at reset")
            observations, rewards, terminated, truncated, infos = env.step(actions)
            _require_seen(blank, observations, length + 1)
            _require_finite("the reward", rewards, where)
            starts, length = terminated | truncated, length + 1
            for index, job in enumerate(jobs):
                if index in rows:
                    continue  # its next episode, which nobody asked for
                totals[index] += _shown(infos, "true_reward", index, rewards[index])
                if starts[index]:
                    require_finite("the observation", _shown(infos, "final_obs", index, 0.0), where)
                    require_finite("the return", totals[index])
                    measures = checked_measures(_shown(infos, "measures", index, {}))
                    if promised is not None:
                        measures[PROMISED] = float(promised[index])
                    rows[index] = Row(
                        name, condition.name, job.episode, job.seed, float(totals[index]), length, measures=measures
                    )
        return list(rows.values())
    finally:
        close(env)


def _require_seen(blank: np.ndarray, observations: Any, step: int) -> None:
    require_shape(blank, observations[0], step)
    _require_finite("the observation", observations, at(step))


def _require_finite(what: str, values: Any, where: str) -> None:
    """Of a world alone, entries are named as its own."""
    require_finite(what, values[0] if len(values) == 1 else values, where)


def _shown(infos: Mapping[str, Any], name: str, world: int, otherwise: Any) -> Any:
    """What a step's infos say of one world; an episode's last step stands in ``final_info``."""
    everywhere = np.ones(world + 1, bool)  # what has no mask is said of every world
    for found in (infos.get("final_info", {}), infos):
        if name in found and found.get(f"_{name}", everywhere)[world]:
            value = found[name]
            if not isinstance(value, dict):
                return value[world]
            known = (key for key in value if not key.startswith("_") and value.get(f"_{key}", everywhere)[world])
            return {key: float(value[key][world]) for key in known}
    return otherwise
