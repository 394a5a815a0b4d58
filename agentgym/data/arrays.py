"""Read all episodes of a Minari dataset into contiguous arrays and check their consistency."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from agentgym.data.faults import Columns, Finding, leaves, refuse, structure_faults
from agentgym.data.spaces import LEAVES
from agentgym.errors import CorruptFile, SpaceMismatch

__all__ = ["ARRAYS", "check_single_arrays", "collect", "read_arrays"]

ARRAYS = ("observations", "actions", "rewards", "terminations", "truncations", "starts")


def read_arrays(stored: Any, name: str) -> dict[str, np.ndarray]:
    """All episodes of a Minari dataset end to end.

    Raises:
        SpaceMismatch: observations or actions are not single arrays.
        InvalidParameter: an episode's arrays do not fit together or are not of its spaces' shapes, or there is no
            episode.
        CorruptFile: an episode cannot be read.
    """
    check_single_arrays(name, stored.observation_space, stored.action_space)
    columns, findings = collect(stored)
    refuse(name, findings)
    assert columns is not None
    return {
        "observations": _as_kept(columns.observations[0][2], stored.observation_space),
        "actions": _as_kept(columns.actions[0][2], stored.action_space),
        "rewards": columns.rewards.astype(np.float32),
        **{field: getattr(columns, field) for field in ("terminations", "truncations", "starts")},
    }


def check_single_arrays(name: str, observation_space: Space, action_space: Space) -> None:
    """Refuse Dict, Tuple, Text and other spaces, and say what to do.

    Raises:
        SpaceMismatch: observations or actions are not single arrays.
    """
    for what, space in (("observations", observation_space), ("actions", action_space)):
        if isinstance(space, LEAVES):
            continue
        flat = what == "observations" and isinstance(space, spaces.Dict | spaces.Tuple)
        advice = (
            "Record it through gymnasium.wrappers.FlattenObservation, or flatten what is recorded with "
            "gymnasium.spaces.flatten, into a new dataset"
            if flat and space.is_np_flattenable
            else "Record a dataset with Box, Discrete, MultiDiscrete or MultiBinary ones"
        )
        raise SpaceMismatch(f"The {what} of {name} are {space}: offline agents read single arrays only. {advice}.")


def collect(stored: Any) -> tuple[Columns | None, list[Finding]]:
    """Read a Minari dataset's episodes in one pass: (columns, faults). Columns are None if there are faults."""
    if not stored.total_episodes:
        return None, [Finding("error", "empty", "it has no episode")]
    found: dict[tuple[str, str], list[int]] = {}
    parts: dict[str, tuple[str, Space, list[np.ndarray]]] = {}
    rest: dict[str, list[np.ndarray]] = {field: [] for field in ("rewards", "terminations", "truncations")}
    number = 0
    try:
        for episode in _episodes(stored):
            for fault in structure_faults(episode, stored.observation_space, stored.action_space):
                found.setdefault(fault, []).append(number)
            number += 1
            if found:
                continue
            for field in ("observations", "actions"):
                for path, space, values in leaves(
                    getattr(stored, f"{field[:-1]}_space"), getattr(episode, field), field
                ):
                    parts.setdefault(path, (field, space, []))[2].append(values)
            for field, kept in rest.items():
                kept.append(np.asarray(getattr(episode, field)))
    except CorruptFile as error:
        found[("files", str(error))] = [number]
    if found:
        return None, [Finding("error", check, message, tuple(where)) for (check, message), where in found.items()]
    joined = [(of, (path, space, np.concatenate(values))) for path, (of, space, values) in parts.items()]
    return Columns(
        observations=[column for of, column in joined if of == "observations"],
        actions=[column for of, column in joined if of == "actions"],
        rewards=np.concatenate(rest["rewards"]),
        terminations=np.concatenate(rest["terminations"]).astype(bool),
        truncations=np.concatenate(rest["truncations"]).astype(bool),
        starts=np.cumsum([0, *map(len, rest["rewards"])], dtype=np.int64),
    ), []


def _episodes(stored: Any) -> Iterator[Any]:
    """Minari's episodes.

    Raises:
        CorruptFile: the next episode cannot be read.
    """
    episodes = iter(stored.iterate_episodes())
    while True:
        try:
            episode = next(episodes)
        except StopIteration:
            return
        except MemoryError:
            raise
        except Exception as error:  # h5py and Minari raise whatever a damaged file leads them to
            raise CorruptFile(f"an episode cannot be read ({type(error).__name__}: {error})") from error
        yield episode


def _as_kept(array: np.ndarray, space: Space) -> np.ndarray:
    """Convert real numbers to float32; keep the space's dtype for everything else."""
    if np.issubdtype(space.dtype, np.floating):
        with np.errstate(over="ignore"):  # overflow gives infinity, which the checks report
            return array.astype(np.float32)
    return array.astype(space.dtype)
