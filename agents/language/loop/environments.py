"""Batches of text environments."""

from contextlib import closing
from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv

from agentgym.errors import InvalidParameter, SpaceMismatch
from agentgym.make import check_id

__all__ = ["batch_of"]


def batch_of(env: Any, count: int) -> VectorEnv:
    """A batch of text environments.

    Args:
        env: a batch, which is returned as it is, or a single environment or an id, of which ``count`` are made.
        count: number of environments to make.

    Raises:
        SpaceMismatch: its observations or actions are not texts.
        InvalidParameter: a single environment cannot be copied.
        UnknownId: no environment has that id.
    """
    if isinstance(env, VecEnv):
        raise SpaceMismatch("Language agents take Gymnasium environments, single or batched, not a VecEnv.")
    if isinstance(env, gymnasium.Env):
        spec = env.spec
        if spec is None or spec.additional_wrappers or spec.max_episode_steps not in _its_own_limits(env, spec.id):
            raise InvalidParameter(
                "An environment that is wrapped or was not made from an id cannot be copied: pass a batch."
            )
        _require_texts(env.observation_space, env.action_space)
        env = _made(spec.id, count, dict(spec.kwargs))
    elif isinstance(env, str):
        check_id(env)
        if not env.startswith("agentgym/"):  # ours are texts, or take the batch's arguments, and may be slow to make
            with closing(gymnasium.make(env)) as one:
                _require_texts(one.observation_space, one.action_space)
        env = _made(env, count, {})
    _require_texts(env.single_observation_space, env.single_action_space)
    return env


def _require_texts(*found: spaces.Space[Any]) -> None:
    if not all(isinstance(space, spaces.Text) for space in found):
        raise SpaceMismatch(
            f"Language agents read and write texts; this environment has {found[0]} and {found[1]}. Other agents: "
            "agentgym list agents"
        )


def _its_own_limits(env: gymnasium.Env[Any, Any], env_id: str) -> set[int | None]:
    """Time limits that a copy would also have: the registry's or the environment's own."""
    own = env.unwrapped.spec
    return {_registered(env_id).max_episode_steps, own.max_episode_steps if own is not None else None}


def _registered(env_id: str) -> EnvSpec:
    return gymnasium.spec(env_id.rpartition(":")[2])


def _made(env_id: str, count: int, arguments: dict[str, Any]) -> VectorEnv:
    if _registered(env_id).vector_entry_point is not None:
        return gymnasium.make_vec(
            env_id, count, "vector_entry_point", autoreset_mode=AutoresetMode.SAME_STEP, **arguments
        )
    return gymnasium.make_vec(
        env_id, count, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP}, **arguments
    )
