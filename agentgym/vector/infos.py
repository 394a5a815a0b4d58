"""The infos of a batch: Gymnasium's dictionaries of arrays [N, ...], each with a mask ``_key`` of its worlds.

What a mask leaves out is zero, or None among objects. Nested dictionaries have masks of their own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["combine_infos", "info_of", "infos_of", "join_infos", "only_infos", "split_infos"]

Mask = NDArray[np.bool_]


def infos_of(shown: Mask, **values: NDArray[Any]) -> dict[str, Any]:
    """Arrays [N, ...] by name as infos of the worlds ``shown`` [N]."""
    infos: dict[str, Any] = {}
    if not shown.any():
        return infos
    everywhere = shown.all()
    for name, each in values.items():
        infos[name] = each if everywhere else np.where(_column(shown, each), each, _nothing(each))
        infos[f"_{name}"] = shown
    return infos


def only_infos(infos: dict[str, Any], shown: Mask) -> dict[str, Any]:
    """The part of ``infos`` that tells of the worlds ``shown`` [N]; what tells of none of them is left out."""
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
    """``infos`` with what ``more`` tells; where both tell something of a world, ``more`` counts."""
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
    """Gymnasium's dictionary of arrays with masks (``"_key"``) as one dictionary an environment."""
    split: list[dict[str, Any]] = [{} for _ in range(count)]
    everywhere: Any = None  # the last mask of all worlds: most keys have the same one
    for key, values in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue
        shown = infos.get(f"_{key}")
        rows = split_infos(values, count) if isinstance(values, dict) else values
        if shown is everywhere or shown is None or shown.all():  # nearly always, and quicker
            everywhere = shown
            for each, row in zip(split, rows, strict=True):
                each[key] = row
        else:
            for index in np.flatnonzero(shown).tolist():
                split[index][key] = rows[index]
    return split


def info_of(infos: dict[str, Any], world: int) -> dict[str, Any]:
    """What a batch's infos tell of one world; what has no mask is told of every world."""
    told: dict[str, Any] = {}
    for key, values in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue
        shown = infos.get(f"_{key}")
        if shown is None or shown[world]:
            told[key] = info_of(values, world) if isinstance(values, dict) else values[world]
    return told


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
