"""What every natively batched environment asks of ``reset``: a seed a world, and which worlds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["merge_info", "reset_mask", "world_seeds"]


def world_seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    """One seed a world: ``seed``, ``seed + 1``, ... from a number, a list as it is, None where there is none.

    Raises:
        ValueError: a list of another length.
    """
    if seed is None:
        return [None] * count
    seeds: list[int | None] = [*range(seed, seed + count)] if isinstance(seed, int) else list(seed)
    if len(seeds) != count:
        raise ValueError(f"There are {count} worlds but {len(seeds)} seeds: give one a world, or an int.")
    return seeds


def reset_mask(options: dict[str, Any] | None, count: int) -> NDArray[np.bool_]:
    """Which worlds to reset, [N]: those of ``options["reset_mask"]``, or all.

    Raises:
        ValueError: the mask has another shape or type, or chooses none.
    """
    if options is None or "reset_mask" not in options:
        return np.ones(count, dtype=bool)
    mask = np.asarray(options["reset_mask"])
    if mask.dtype != bool or mask.shape != (count,) or not mask.any():
        raise ValueError(f"reset_mask must be a bool array of shape ({count},) with at least one True.")
    return mask


def merge_info(infos: dict[str, Any], name: str, values: NDArray[Any], shown: NDArray[np.bool_]) -> None:
    """Put ``values`` [N, ...] under ``name``, with Gymnasium's mask ``_name``, for the worlds that show it."""
    if shown.any():
        infos[name], infos[f"_{name}"] = values, shown.copy()
