"""What natively batched environments share: a seed a world, which worlds to reset, infos of one world and of all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["join_infos", "merge_info", "reset_mask", "split_infos", "world_seeds"]


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


def split_infos(infos: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Gymnasium's dictionary of arrays with masks (``"_key"``) as one dictionary an environment."""
    split: list[dict[str, Any]] = [{} for _ in range(count)]
    for key, values in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue
        present = infos.get(f"_{key}", np.ones(count, bool))
        rows = split_infos(values, count) if isinstance(values, dict) else values
        for index in np.flatnonzero(present).tolist():
            split[index][key] = rows[index]
    return split


def join_infos(infos: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """One dictionary an environment (None: it tells nothing) as Gymnasium's ``VectorEnv._add_info`` joins them.

    Numbers become arrays of their type, dictionaries are joined in turn, everything else becomes arrays of objects;
    each has its mask ``_key``.
    """
    joined: dict[str, Any] = {}
    for key in dict.fromkeys(key for info in infos if info is not None for key in info):
        shown = np.array([info is not None and key in info for info in infos])
        found = [info[key] if info is not None and key in info else None for info in infos]
        kind = type(next(value for value, there in zip(found, shown, strict=True) if there))
        values: Any
        if kind is dict:
            values = join_infos(found)
        else:
            values = np.zeros(len(infos), kind) if kind in (int, float, bool) else np.full(len(infos), None, object)
            for n in np.flatnonzero(shown).tolist():
                values[n] = found[n]
        joined[key], joined[f"_{key}"] = values, shown
    return joined
