"""Arguments of ``reset``, for single environments and batches: options, seeds and the reset mask."""

import numbers
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agentgym.contracts.settings import whole_number
from agentgym.errors import InvalidParameter, UnknownId

__all__ = ["MASK", "autoreset", "check_options", "known_options", "reset_mask", "seed_of_one", "world_seeds"]

MASK = "reset_mask"
"""The option that selects the sub-environments to reset, as in Gymnasium."""


def check_options(env: str, options: Any, known: Collection[str] = ()) -> dict[str, Any]:
    """Check the options of a reset and return them as a dictionary.

    Args:
        env: name of the environment, for messages.
        options: options passed to ``reset``; None for none.
        known: names of the options that the environment takes.

    Raises:
        InvalidParameter: the options are not a dictionary.
        UnknownId: there is no such option; the message suggests the nearest names.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InvalidParameter(f"The reset options of {env} must be a dictionary, not {options!r}.")
    for name in options:
        if name not in known:
            raise _unknown(env, name, known)
    return dict(options)


def known_options(env: str, options: Any, known: Collection[str] = ()) -> dict[str, Any]:
    """Like :func:`check_options`, but drop unknown options with a warning.

    Used for PettingZoo environments, because ``parallel_api_test`` passes an option that no environment has.
    """
    options = check_options(env, options, [*known, *(options if isinstance(options, Mapping) else ())])
    for name in [name for name in options if name not in known]:
        warnings.warn(f"{_unknown(env, name, known)} It is ignored.", stacklevel=3)
        del options[name]
    return options


def _unknown(env: str, name: Any, known: Collection[str]) -> UnknownId:
    return UnknownId(f"reset option of {env}", str(name), known, "" if known else "It takes none.")


def world_seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    """One seed per sub-environment: ``seed``, ``seed + 1``, ... for an int, the list itself, or None for each.

    Raises:
        InvalidParameter: a seed is not a whole number of at least 0, or the list has the wrong length.
    """
    if seed is None:
        return [None] * count
    if isinstance(seed, numbers.Integral) and not isinstance(seed, bool):
        seed = [int(seed) + world for world in range(count)]
    if isinstance(seed, str) or not isinstance(seed, Sequence | np.ndarray):
        raise InvalidParameter(
            f"A seed must be a whole number of at least 0, or a list with one per sub-environment, not {seed!r}."
        )
    if len(seed) != count:
        raise InvalidParameter(
            f"There are {count} sub-environments but {len(seed)} seeds: give one for each, or an int."
        )
    return [seed_of_one(each) for each in seed]


def seed_of_one(value: Any) -> int | None:
    """The seed of a single environment as an ``int``, also from a NumPy integer, or None.

    Raises:
        InvalidParameter: it is not a whole number of at least 0.
    """
    return None if value is None else whole_number("The seed", value, 0)


def reset_mask(options: Mapping[str, Any] | None, count: int) -> NDArray[np.bool_]:
    """The mask of sub-environments to reset, bool [N]: ``options["reset_mask"]``, or all.

    Raises:
        InvalidParameter: the mask has the wrong shape or type, or selects none.
    """
    if options is None or MASK not in options:
        return np.ones(count, dtype=bool)
    mask = np.asarray(options[MASK])
    if mask.dtype != bool or mask.shape != (count,) or not mask.any():
        raise InvalidParameter(f"{MASK} must be a bool array of shape ({count},) with at least one True.")
    return mask


def autoreset(mode: AutoresetMode | str) -> AutoresetMode:
    """The autoreset mode with the given name.

    Raises:
        UnknownId: there is no such mode.
    """
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        raise UnknownId("autoreset mode", str(mode), [each.value for each in AutoresetMode]) from error
