"""Checks for NaN and infinity in observations, rewards, actions and settings."""

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentgym.errors import NonFinite

__all__ = ["is_finite", "non_finite_settings", "require_finite"]

_FEW = 20  # up to here a loop over numbers beats NumPy's functions on arrays


def is_finite(values: Any) -> bool:
    """Whether a number, an array, or a dictionary, list or tuple of them has no entry that is NaN or infinite.

    Strings, booleans and integers always count as finite.
    """
    if isinstance(values, np.ndarray):
        if values.ndim == 1 and values.size < _FEW and values.dtype.char in "efd":
            return all(map(math.isfinite, values.tolist()))
        return values.dtype.kind not in "fc" or np.count_nonzero(np.isfinite(values)) == values.size
    if isinstance(values, float):
        return math.isfinite(values)
    if isinstance(values, Mapping):
        return all(map(is_finite, values.values()))
    if isinstance(values, tuple | list):
        return all(map(is_finite, values))
    if isinstance(values, np.floating):
        return bool(np.isfinite(values))
    return True


def require_finite(what: str, values: Any, where: str = "") -> None:
    """Raise an error if any entry is NaN or infinite.

    Args:
        what: name of the values for the message, e.g. "the observation of Pendulum-v1".
        values: a number, an array, or a dictionary or tuple of them.
        where: where it happened, e.g. "at step 151".

    Raises:
        NonFinite: an entry is NaN or infinite; the message names the values, the entry, its value and the place.
    """
    if not is_finite(values):
        path, value = _first_non_finite(values)
        entry = f"entry {', '.join(map(repr, path))} is " if path else "it is "
        raise NonFinite(f"{what} is not finite{' ' + where if where else ''}: {entry}{value}.")


def _first_non_finite(values: Any) -> tuple[list[Any], Any]:
    """The keys and indices of the first entry that is not finite, and its value."""
    if isinstance(values, Mapping | tuple | list):
        parts = values.items() if isinstance(values, Mapping) else enumerate(values)
        key, part = next((key, part) for key, part in parts if not is_finite(part))
        path, value = _first_non_finite(part)
        return [key, *path], value
    if not isinstance(values, np.ndarray):
        return [], values
    index = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
    return list(index), values[index]


def non_finite_settings(settings: Mapping[str, Any], path: str = "") -> list[str]:
    """The settings that are NaN or infinite, including nested ones, each as ``"name=value"``."""
    found = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found += non_finite_settings(value, f"{path}{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            found += non_finite_settings({f"{name}[{i}]": part for i, part in enumerate(value)}, path)
        elif isinstance(value, numbers.Real) and not math.isfinite(value):
            found.append(f"{path}{name}={value}")
    return found
