"""The ``env`` argument of constructors: environments by id, and their spaces."""

from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from agentgym.errors import UnknownId

__all__ = ["made", "spaces_of"]


def made(env: Any) -> Any:
    """Make an environment from its id. Anything else is returned as it is.

    Raises:
        UnknownId: no environment has that id; the message suggests the nearest.
    """
    if not isinstance(env, str):
        return env
    try:
        return gymnasium.make(env)
    except (gymnasium.error.NameNotFound, gymnasium.error.NamespaceNotFound) as error:
        raise UnknownId("environment", env, gymnasium.registry, str(error).splitlines()[0]) from None


def spaces_of(env: Any) -> tuple[spaces.Space, spaces.Space]:
    """The observation and action space of a single environment, also if ``env`` is a batch."""
    if isinstance(env, VectorEnv):
        return env.single_observation_space, env.single_action_space
    return env.observation_space, env.action_space
