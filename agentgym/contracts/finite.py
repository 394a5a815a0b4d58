"""NaN and infinity are refused where they first appear, by one rule for observations, rewards, actions and settings."""

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentgym.errors import NonFinite

__all__ = ["is_finite", "non_finite_settings", "require_finite"]


def is_finite(values: Any) -> bool:
    """Whether no entry is NaN or infinite: of a number, an array, or a dictionary or tuple of them.

    Texts, booleans and whole numbers always are.
    """
    if isinstance(values, np.ndarray):
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
    """Refuse NaN and infinity.

    Args:
        what: what the values are, e.g. "the observation of Pendulum-v1".
        values: a number, an array, or a dictionary or tuple of them.
        where: where it happened, e.g. "at step 151".

    Raises:
        NonFinite: an entry is NaN or infinite; the message has what, entry, value and where.
    """
    if not is_finite(values):
        path, value = _first(values)
        entry = f"entry {', '.join(map(repr, path))} is " if path else "it is "
        raise NonFinite(f"{what} is not finite{' ' + where if where else ''}: {entry}{value}.")


def _first(values: Any) -> tuple[list[Any], Any]:
    """The first entry that is not finite: the keys and indices that lead to it, and its value."""
    if isinstance(values, Mapping | tuple | list):
        parts = values.items() if isinstance(values, Mapping) else enumerate(values)
        key, part = next((key, part) for key, part in parts if not is_finite(part))
        path, value = _first(part)
        return [key, *path], value
    if not isinstance(values, np.ndarray):
        return [], values
    index = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
    return list(index), values[index]


def non_finite_settings(settings: Mapping[str, Any], path: str = "") -> list[str]:
    """The settings that are NaN or infinite, nested ones included, each as ``"name=value"``."""
    found = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found += non_finite_settings(value, f"{path}{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            found += non_finite_settings({f"{name}[{i}]": part for i, part in enumerate(value)}, path)
        elif isinstance(value, numbers.Real) and not math.isfinite(value):
            found.append(f"{path}{name}={value}")
    return found
