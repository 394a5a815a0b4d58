"""Episodes of texts: what was said and may be said goes to the agent, and a command comes back."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from agentgym.agent import acting_in
from agentgym.batching import split_infos
from agentgym.errors import EpisodeTooLong, SpaceMismatch
from agentgym.evaluation.conditions import Condition
from agentgym.evaluation.rollout import failed, require_end
from agentgym.evaluation.table import Row
from agentgym.finite import require_finite
from agentgym.making import make_native_batch, perturbed

__all__ = ["play_texts"]


def play_texts(agent: Any, name: str, condition: Condition, jobs: Sequence[Any], deterministic: bool) -> list[Row]:
    """A condition's episodes side by side, from reset to the end of the last one.

    Args:
        agent: anything with ``predict(observations, state, episode_start, deterministic, commands)`` for lists of texts
            and of admissible commands, one a world; the observation of a world whose episode is over is None.
        name: the agent's name in the rows.
        condition: the world.
        jobs: one an episode (:class:`agentgym.evaluation.rollout.Job`).
        deterministic: the policy's mode instead of a sample.

    Raises:
        SpaceMismatch: an observation is no string.

    Returns:
        A row a job. Where an agent's state says that an episode outgrew it (``state.overlong``), the measure
        ``overlong`` is 1.
    """
    count = len(jobs)
    env: Any = perturbed(_batch(condition, count), condition.perturbations)
    try:
        player = acting_in(agent, env)
        texts, batched = env.reset(seed=[job.seed for job in jobs], options=dict(condition.options) or None)
        infos = split_infos(batched, count)
        rows: dict[int, Row] = {}
        totals, starts, state, length = np.zeros(count), np.ones(count, bool), None, 0
        while len(rows) < count:
            try:
                require_end(env, jobs[0].max_steps, length)
            except EpisodeTooLong as error:  # those that are over keep their rows
                left = [job for n, job in enumerate(jobs) if n not in rows]
                return [*rows.values(), *(failed(name, job, error, length) for job in left)]
            seen = [None if n in rows else _read(text) for n, text in enumerate(texts)]
            offered = [info.get("admissible_commands") for info in infos]
            commands, state = player.predict(seen, state, starts, deterministic, commands=offered)
            texts, rewards, terminated, truncated, batched = env.step(tuple(commands))
            infos = split_infos(batched, count)
            starts, length = np.zeros(count, bool), length + 1
            for n, job in enumerate(jobs):
                if n in rows:
                    continue  # its next episode, which nobody asked for
                over = bool(terminated[n] or truncated[n])
                info = infos[n].get("final_info", infos[n]) if over else infos[n]
                # A batch says it of the step as a whole, batched single environments in the old episode's last info.
                totals[n] += float(info.get("true_reward", infos[n].get("true_reward", rewards[n])))
                require_finite("the reward", (float(rewards[n]), float(totals[n])), f"at step {length}")
                if over:
                    measures = _measures(info, state, n)
                    rows[n] = Row(
                        name, condition.name, job.episode, job.seed, float(totals[n]), length, measures=measures
                    )
        return list(rows.values())
    finally:
        env.close()


def _read(text: Any) -> str:
    if not isinstance(text, str):  # None would be read as an episode that waits
        raise SpaceMismatch(f"An observation of a world of texts is a string, not {text!r}.")
    return text


def _batch(condition: Condition, count: int) -> Any:
    """The worlds as one batch: native where there is one, else Gymnasium's."""
    kwargs = dict(condition.env_kwargs)
    native = make_native_batch(condition.env, kwargs, count)
    if native is not None:
        return native
    return gymnasium.make_vec(
        condition.env, count, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP}, **kwargs
    )


def _measures(info: Mapping[str, Any], state: Any, world: int) -> dict[str, float]:
    measures = {name: float(value) for name, value in info.get("measures", {}).items()}
    if getattr(state, "overlong", None):
        measures["overlong"] = float(state.overlong[world])
    require_finite("the measure", measures)
    return measures
