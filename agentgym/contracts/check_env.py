"""Whether an environment of a stranger speaks Gymnasium's interface, asked before any work is done in it."""

import copy
import inspect
import numbers
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from agentgym import catalog
from agentgym.errors import AskError, SpaceMismatch
from agentgym.make import make_env

__all__ = ["check_interface"]


def check_interface(env_id: str, env_kwargs: dict[str, Any] | None = None) -> None:
    """Refuse an environment that was written for an older interface, or answers otherwise than its spaces say.

    It is made, reset and stepped once on its own. Environments of the catalog are known to be right.

    Raises:
        AskError: what ``reset`` and ``step`` take or give is not Gymnasium's.
        SpaceMismatch: an observation has another shape than the observation space.
    """
    if env_id in {entry.id for entry in catalog.entries("env")}:
        return
    env: Any = make_env(env_id, env_kwargs)
    try:
        while isinstance(env, TimeLimit | OrderEnforcing | PassiveEnvChecker):  # they take five values for granted
            env = env.env
        _check_reset_and_step(env, env_id)
    except AskError:
        raise
    except Exception as error:
        if not env_kwargs:
            raise  # the environment's own mistake: its author wants to see where
        raise AskError(f"{env_id} fails when it is made with {env_kwargs}: {type(error).__name__}: {error}") from error
    finally:
        try:
            env.close()
        except Exception as error:  # it has told what it was asked
            warnings.warn(f"{env_id} could not be closed: {type(error).__name__}: {error}", stacklevel=2)


def _check_reset_and_step(env: Any, env_id: str) -> None:
    how = "See https://gymnasium.farama.org/introduction/migration_guide"
    parameters = inspect.signature(env.reset).parameters
    takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    if not takes_all and not {"seed", "options"} <= set(parameters):
        taken = ", ".join(parameters) or "nothing"
        raise AskError(f"reset() of {env_id} takes {taken}; it must take seed and options. {how}.")
    found = env.reset(seed=0)
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], dict)):
        raise AskError(f"reset() of {env_id} gives {_sort(found)}; it must give (observation, info). {how}.")
    _check_shape(env.observation_space, found[0], f"reset() of {env_id}")
    if isinstance(env.action_space, spaces.Text):  # words at random say nothing
        return
    action_space = copy.deepcopy(env.action_space)  # a class may share its space among all its environments
    action_space.seed(0)
    found = env.step(action_space.sample())
    if not (isinstance(found, tuple) and len(found) == 5 and isinstance(found[4], dict)):
        raise AskError(
            f"step() of {env_id} gives {_sort(found)}; it must give "
            f"(observation, reward, terminated, truncated, info). {how}."
        )
    _check_shape(env.observation_space, found[0], f"step() of {env_id}")
    for name, value in zip(("reward", "terminated", "truncated"), found[1:4], strict=True):
        if np.size(value) != 1 or not isinstance(value, numbers.Number | np.ndarray | np.generic):
            raise AskError(f"step() of {env_id} gives {_sort(value)} as {name}; it must be one number.")


def _check_shape(space: spaces.Space[Any], observation: Any, source: str) -> None:
    if isinstance(space, spaces.Dict) and isinstance(observation, Mapping) and set(observation) == set(space):
        for key, part in space.items():
            _check_shape(part, observation[key], source)
    elif space.shape is None and not isinstance(space, spaces.Dict):
        fits = isinstance(observation, str) if isinstance(space, spaces.Text) else space.contains(observation)
        if not fits:
            raise SpaceMismatch(f"{source} gives the observation {_sort(observation)}, which is not in {space}.")
    elif isinstance(space, spaces.Dict) or np.shape(observation) != space.shape:
        raise SpaceMismatch(f"{source} gives an observation of {_sort(observation)}, but the space is {space}.")


def _sort(value: Any) -> str:
    """What kind of value it is, in few words."""
    if isinstance(value, tuple | list):
        return f"{len(value)} values"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"{type(value).__name__} {value!r:.40}"
