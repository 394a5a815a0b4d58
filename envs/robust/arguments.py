"""Validation of the v5 tasks' own arguments, since Gymnasium accepts any number there, including NaN."""

import inspect
import numbers
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import mujoco
from gymnasium.envs.mujoco import MujocoEnv

from agentgym.contracts.settings import finite_number, flag, whole_number
from agentgym.errors import InvalidParameter, UnknownId

__all__ = ["checked_arguments", "checked_body"]


def checked_arguments(task: type, arguments: Mapping[str, Any], own: Iterable[str]) -> dict[str, Any]:
    """Check the arguments of a v5 task against the types of their defaults.

    Args:
        task: the v5 task's class.
        arguments: arguments by name.
        own: names of the robust environment's additional arguments, as suggestions for unknown names.

    Raises:
        UnknownId: the task has no such argument; the message suggests the nearest.
        InvalidParameter: a value has the wrong type, or is NaN or infinite.
    """
    known = _known(task)
    for name in arguments:
        if name not in known:
            raise UnknownId(f"keyword argument of {task.__name__}", name, {*known, *own} - {"self", "task_arguments"})
    mode, modes = arguments.get("render_mode"), getattr(task, "metadata", {}).get("render_modes", ())
    if mode is not None and mode not in modes:
        raise UnknownId("render mode", str(mode), modes)
    return {name: _checked(name, value, known[name]) for name, value in arguments.items()}


@cache
def _known(task: type) -> dict[str, Any]:
    """Arguments and defaults, including the renderer's."""
    chosen_by_the_task = ("self", "kwargs", "model_path", "observation_space")
    parameters = {**inspect.signature(MujocoEnv).parameters, **inspect.signature(task).parameters}
    return {name: each.default for name, each in parameters.items() if name not in chosen_by_the_task}


def checked_body(name: str, value: int | str | None, model: mujoco.MjModel) -> None:
    """Check that the model has a body, given by name or number.

    Raises:
        UnknownId: it has not; the message suggests the nearest names.
    """
    if value is None:
        return
    bodies = [model.body(index).name for index in range(model.nbody)]
    if value not in bodies and value not in range(model.nbody):
        raise UnknownId(f"body for {name}", str(value), bodies)


def _checked(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        return flag(name, value)
    if name == "main_body" and isinstance(value, str):
        return value
    if isinstance(default, int) and not name.endswith("_weight"):
        return whole_number(name, value, 0 if name == "main_body" else 1, 100_000)
    if isinstance(default, int | float):
        return finite_number(name, value, *((0.0, 1e6) if name.endswith("_scale") else (-1e100, 1e100)))
    if isinstance(default, tuple):
        return _checked_range(name, value)
    return value


def _checked_range(name: str, value: Any) -> tuple[float, float]:
    """Two numbers in order; either may be infinite."""
    try:
        low, high = value
    except (TypeError, ValueError):
        low = high = None
    if not all(isinstance(end, numbers.Real) for end in (low, high)) or not low <= high:  # also refuses NaN
        raise InvalidParameter(f"{name} is {value!r}; it must be two numbers, the lower one first.")
    return float(low), float(high)
