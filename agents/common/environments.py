"""What an agent's constructor is given as ``env``."""

from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from agentgym.errors import UnknownId

__all__ = ["made", "spaces_of"]


def made(env: Any) -> Any:
    """An environment from its id; anything else as it is.

    Raises:
        UnknownId: no environment has that id; the message gives the nearest.
    """
    if not isinstance(env, str):
        return env
    try:
        return gymnasium.make(env)
    except (gymnasium.error.NameNotFound, gymnasium.error.NamespaceNotFound) as error:
        raise UnknownId("environment", env, gymnasium.registry, str(error).splitlines()[0]) from None


def spaces_of(env: Any) -> tuple[spaces.Space, spaces.Space]:
    """What one of the environments observes, and what is played in it."""
    if isinstance(env, VectorEnv):
        return env.single_observation_space, env.single_action_space
    return env.observation_space, env.action_space
