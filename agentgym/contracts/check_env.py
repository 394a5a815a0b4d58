"""Check that a third-party environment follows Gymnasium's interface, before any training or evaluation starts."""

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
    """Refuse an environment that uses an older interface or whose observations do not match its observation space.

    The check makes a separate instance, resets it and takes one step. Environments of the catalog are not checked.

    Raises:
        AskError: the signatures or return values of ``reset`` and ``step`` are not those of Gymnasium.
        SpaceMismatch: the shape of an observation differs from that of the observation space.
    """
    if env_id in {entry.id for entry in catalog.entries("env")}:
        return
    env: Any = make_env(env_id, env_kwargs)
    try:
        while isinstance(env, TimeLimit | OrderEnforcing | PassiveEnvChecker):  # they expect five values from step()
            env = env.env
        _check_reset_and_step(env, env_id)
    except AskError:
        raise
    except Exception as error:
        if not env_kwargs:
            raise  # a bug in the environment: its author needs the traceback
        raise AskError(f"{env_id} fails when it is made with {env_kwargs}: {type(error).__name__}: {error}") from error
    finally:
        try:
            env.close()
        except Exception as error:  # the check itself is done
            warnings.warn(f"{env_id} could not be closed: {type(error).__name__}: {error}", stacklevel=2)


def _check_reset_and_step(env: Any, env_id: str) -> None:
    guide = "See https://gymnasium.farama.org/introduction/migration_guide"
    parameters = inspect.signature(env.reset).parameters
    takes_any_keyword = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if not takes_any_keyword and not {"seed", "options"} <= set(parameters):
        names = ", ".join(parameters) or "nothing"
        raise AskError(f"reset() of {env_id} takes {names}; it must take seed and options. {guide}.")
    result = env.reset(seed=0)
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)):
        raise AskError(f"reset() of {env_id} returns {_describe(result)}; it must return (observation, info). {guide}.")
    _check_shape(env.observation_space, result[0], f"reset() of {env_id}")
    if isinstance(env.action_space, spaces.Text):  # a random text is rarely a valid command
        return
    action_space = copy.deepcopy(env.action_space)  # a class may share its space among all its environments
    action_space.seed(0)
    result = env.step(action_space.sample())
    if not (isinstance(result, tuple) and len(result) == 5 and isinstance(result[4], dict)):
        raise AskError(
            f"step() of {env_id} returns {_describe(result)}; it must return "
            f"(observation, reward, terminated, truncated, info). {guide}."
        )
    _check_shape(env.observation_space, result[0], f"step() of {env_id}")
    for name, value in zip(("reward", "terminated", "truncated"), result[1:4], strict=True):
        if np.size(value) != 1 or not isinstance(value, numbers.Number | np.ndarray | np.generic):
            raise AskError(f"step() of {env_id} returns {_describe(value)} as {name}; it must be one number.")


def _check_shape(space: spaces.Space[Any], observation: Any, source: str) -> None:
    if isinstance(space, spaces.Dict) and isinstance(observation, Mapping) and set(observation) == set(space):
        for key, part in space.items():
            _check_shape(part, observation[key], source)
    elif space.shape is None and not isinstance(space, spaces.Dict):
        fits = isinstance(observation, str) if isinstance(space, spaces.Text) else space.contains(observation)
        if not fits:
            raise SpaceMismatch(f"{source} returns the observation {_describe(observation)}, which is not in {space}.")
    elif isinstance(space, spaces.Dict) or np.shape(observation) != space.shape:
        raise SpaceMismatch(f"{source} returns an observation of {_describe(observation)}, but the space is {space}.")


def _describe(value: Any) -> str:
    """A short description of a value for error messages."""
    if isinstance(value, tuple | list):
        return f"{len(value)} values"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"{type(value).__name__} {value!r:.40}"
