"""What ``reset`` takes, of one environment and of a batch: options by name, a seed a world, which worlds to reset."""

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
"""The option by which a batch resets some of its worlds, as in Gymnasium."""


def check_options(env: str, options: Any, known: Collection[str] = ()) -> dict[str, Any]:
    """The options of a reset, {} where there are none.

    Args:
        env: the environment's name, for the message.
        options: as ``reset`` was given them.
        known: the names that the environment takes.

    Raises:
        InvalidParameter: the options are no dictionary.
        UnknownId: there is no option of that name; the message gives the nearest.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InvalidParameter(f"The reset options of {env} are a dictionary of names and values, not {options!r}.")
    for name in options:
        if name not in known:
            raise _unknown(env, name, known)
    return dict(options)


def known_options(env: str, options: Any, known: Collection[str] = ()) -> dict[str, Any]:
    """As :func:`check_options`, but an unknown name is left out with a warning.

    For PettingZoo's environments: its ``parallel_api_test`` passes an option that no environment has.
    """
    options = check_options(env, options, [*known, *(options if isinstance(options, Mapping) else ())])
    for name in [name for name in options if name not in known]:
        warnings.warn(f"{_unknown(env, name, known)} It is not used.", stacklevel=3)
        del options[name]
    return options


def _unknown(env: str, name: Any, known: Collection[str]) -> UnknownId:
    return UnknownId(f"reset option of {env}", str(name), known, "" if known else "It takes none.")


def world_seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    """One seed a world: ``seed``, ``seed + 1``, ... from a number, a list as it is, None where there is none.

    Raises:
        InvalidParameter: a seed is no whole number from 0 up, or the list has another length.
    """
    if seed is None:
        return [None] * count
    if isinstance(seed, numbers.Integral) and not isinstance(seed, bool):
        seed = [int(seed) + world for world in range(count)]
    if isinstance(seed, str) or not isinstance(seed, Sequence | np.ndarray):
        raise InvalidParameter(f"A seed is a whole number from 0 up, or a list with one a world, not {seed!r}.")
    if len(seed) != count:
        raise InvalidParameter(f"There are {count} worlds but {len(seed)} seeds: give one a world, or an int.")
    return [seed_of_one(each) for each in seed]


def seed_of_one(value: Any) -> int | None:
    """The seed of one world as Gymnasium takes it: an ``int``, also from a NumPy integer, or None.

    Raises:
        InvalidParameter: it is no whole number from 0 up.
    """
    return None if value is None else whole_number("The seed", value, 0)


def reset_mask(options: Mapping[str, Any] | None, count: int) -> NDArray[np.bool_]:
    """Which worlds to reset, [N]: those of ``options["reset_mask"]``, or all.

    Raises:
        InvalidParameter: the mask has another shape or type, or chooses none.
    """
    if options is None or MASK not in options:
        return np.ones(count, dtype=bool)
    mask = np.asarray(options[MASK])
    if mask.dtype != bool or mask.shape != (count,) or not mask.any():
        raise InvalidParameter(f"{MASK} must be a bool array of shape ({count},) with at least one True.")
    return mask


def autoreset(mode: AutoresetMode | str) -> AutoresetMode:
    """The autoreset mode of that name.

    Raises:
        UnknownId: there is none.
    """
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        raise UnknownId("autoreset mode", str(mode), [each.value for each in AutoresetMode]) from error
