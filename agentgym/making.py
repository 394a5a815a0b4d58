"""Environments as they are asked for by name: any Gymnasium id, its keyword arguments, perturbations around it."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium

from agentgym import catalog
from agentgym.errors import AskError, UnknownId

__all__ = ["check_id", "make_env"]

# The core holds environments' names only; this is where their perturbations are found.
PERTURB = "agentgym.envs.perturb"


def check_id(env_id: str) -> None:
    """Refuse an id that no registry knows.

    Raises:
        UnknownId: Gymnasium knows no such id (also after importing the module of a ``module:Id``).
    """
    module, _, name = env_id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise AskError(
                f"The module {module!r} of {env_id!r} cannot be imported ({error}). Install it first."
            ) from error
    try:
        gymnasium.spec(name)
    except gymnasium.error.Error as error:
        known = [entry.id for entry in catalog.entries("env")] + list(gymnasium.registry)
        raise UnknownId("environment", name, known, "See: agentgym list envs") from error


def make_env(
    env_id: str, env_kwargs: dict[str, Any] | None = None, perturbations: Sequence[Mapping[str, Any]] = ()
) -> gymnasium.Env[Any, Any]:
    """One environment by name, with perturbations around it.

    Args:
        env_id: a Gymnasium id, also ``module:Id``.
        env_kwargs: keyword arguments of the environment.
        perturbations: configurations (``{"type": "ObservationNoise", "std": 0.1}``), from the inside out.

    Raises:
        UnknownId: there is no such environment or perturbation.
        AskError: the environment refuses its keyword arguments.
    """
    check_id(env_id)
    try:
        env = gymnasium.make(env_id, disable_env_checker=True, **(env_kwargs or {}))
    except TypeError as error:
        raise AskError(f"{env_id} cannot be made with {env_kwargs}: {error}") from error
    return perturbed(env, perturbations)


def perturbed(env: gymnasium.Env[Any, Any], configs: Sequence[Mapping[str, Any]]) -> gymnasium.Env[Any, Any]:
    """``env`` with perturbations around it; ``env`` itself when there are none."""
    if not configs:
        return env
    perturb = importlib.import_module(PERTURB)
    wrapped: gymnasium.Env[Any, Any] = perturb.perturb(env, *(perturb.from_config(config) for config in configs))
    return wrapped
