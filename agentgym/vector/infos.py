"""The infos of a batch in Gymnasium's format: a dictionary of arrays [N, ...], each with a boolean mask ``_key`` [N].

Entries outside the mask are zero, or None in object arrays. Nested dictionaries have their own masks.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["combine_infos", "info_of", "infos_of", "join_infos", "only_infos", "split_infos"]

Mask = NDArray[np.bool_]


def infos_of(shown: Mask, **values: NDArray[Any]) -> dict[str, Any]:
    """Build infos from arrays [N, ...] for the sub-environments in the mask ``shown`` [N]."""
    infos: dict[str, Any] = {}
    if not shown.any():
        return infos
    everywhere = shown.all()
    for name, each in values.items():
        infos[name] = each if everywhere else np.where(_column(shown, each), each, _nothing(each))
        infos[f"_{name}"] = shown
    return infos


def only_infos(infos: dict[str, Any], shown: Mask) -> dict[str, Any]:
    """Restrict ``infos`` to the sub-environments in the mask ``shown`` [N]; drop keys that are left without any."""
    kept: dict[str, Any] = {}
    for name, values in infos.items():
        if f"_{name}" not in infos:
            continue
        mask = infos[f"_{name}"] & shown
        if not mask.any():
            continue
        if isinstance(values, dict):
            kept[name] = only_infos(values, shown)
        else:
            kept[name] = values if mask.all() else np.where(_column(mask, values), values, _nothing(values))
        kept[f"_{name}"] = mask
    return kept


def combine_infos(infos: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Merge two infos; entries of ``more`` take precedence."""
    combined = dict(infos)
    for name, values in more.items():
        if f"_{name}" not in more:
            continue
        shown = more[f"_{name}"]
        if name not in infos:
            combined[name], combined[f"_{name}"] = values, shown
            continue
        if isinstance(values, dict):
            combined[name] = combine_infos(infos[name], values)
        else:
            combined[name] = np.where(_column(shown, values), values, infos[name])
        combined[f"_{name}"] = infos[f"_{name}"] | shown
    return combined


def _column(mask: Mask, values: NDArray[Any]) -> Mask:
    """A mask [N] shaped to select rows of ``values`` [N, ...]."""
    return mask.reshape(-1, *[1] * (values.ndim - 1))


def _nothing(values: NDArray[Any]) -> NDArray[Any]:
    return np.full_like(values, None) if values.dtype == object else np.zeros_like(values)


def split_infos(infos: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Split Gymnasium's dictionary of arrays with masks (``"_key"``) into one dictionary per sub-environment."""
    split: list[dict[str, Any]] = [{} for _ in range(count)]
    everywhere: Any = None  # the last mask that was all True: most keys share it
    for key, values in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue
        shown = infos.get(f"_{key}")
        rows = split_infos(values, count) if isinstance(values, dict) else values
        if shown is everywhere or shown is None or shown.all():  # the common case, and faster
            everywhere = shown
            for each, row in zip(split, rows, strict=True):
                each[key] = row
        else:
            for index in np.flatnonzero(shown).tolist():
                split[index][key] = rows[index]
    return split


def info_of(infos: dict[str, Any], world: int) -> dict[str, Any]:
    """The info of one sub-environment; keys without a mask apply to all of them."""
    info: dict[str, Any] = {}
    for key, values in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue
        shown = infos.get(f"_{key}")
        if shown is None or shown[world]:
            info[key] = info_of(values, world) if isinstance(values, dict) else values[world]
    return info


def join_infos(infos: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """Join one dictionary per sub-environment (None if it has no info) as Gymnasium's ``VectorEnv._add_info`` does.

    Numbers become arrays of their type, dictionaries are joined recursively, and everything else becomes object arrays.
    Each key has its mask ``_key``.
    """
    joined: dict[str, Any] = {}
    for key in dict.fromkeys(key for info in infos if info is not None for key in info):
        shown = np.array([info is not None and key in info for info in infos])
        entries = [info[key] if info is not None and key in info else None for info in infos]
        kind = type(next(value for value, there in zip(entries, shown, strict=True) if there))
        values: Any
        if kind is dict:
            values = join_infos(entries)
        else:
            values = np.zeros(len(infos), kind) if kind in (int, float, bool) else np.full(len(infos), None, object)
            for n in np.flatnonzero(shown).tolist():
                values[n] = entries[n]
        joined[key], joined[f"_{key}"] = values, shown
    return joined
