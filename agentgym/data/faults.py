"""Checks of episodes, shared by ``agentgym data check`` (lists all findings) and training (refuses errors)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from gymnasium import Space, spaces

from agentgym.contracts.finite import is_finite
from agentgym.data.dataset import OfflineDataset
from agentgym.data.spaces import LEAVES, misfit, outside
from agentgym.errors import CorruptFile, InvalidParameter, NonFinite

__all__ = ["Columns", "Finding", "columns_of", "leaves", "refuse", "structure_faults", "value_findings"]

SHOWN = 5  # episodes named in a finding


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    Attributes:
        level: "error" (learning would fail or go wrong, so agents refuse the data) or "warning".
        check: which check found it.
        message: what is wrong and, where known, the cause and the remedy.
        episodes: indices of the affected episodes; empty if the fault concerns the whole dataset.
    """

    level: Literal["error", "warning"]
    check: str
    message: str
    episodes: tuple[int, ...] = ()

    @property
    def where(self) -> str:
        """The affected episodes as text."""
        if not self.episodes:
            return ""
        some = ", ".join(map(str, self.episodes[:SHOWN]))
        return some if len(self.episodes) <= SHOWN else f"{some}, ... ({len(self.episodes)} episodes)"


def refuse(name: str, findings: Iterable[Finding]) -> None:
    """Raise the first finding of level "error".

    Raises:
        NonFinite: entries are NaN or infinite.
        CorruptFile: files are damaged, or were altered.
        InvalidParameter: something else is wrong with the data.
    """
    for finding in findings:
        if finding.level == "error":
            kind = {"finite": NonFinite, "files": CorruptFile, "hash": CorruptFile}.get(finding.check, InvalidParameter)
            where = f" (episodes: {finding.where})" if finding.episodes else ""
            raise kind(f"{name}: {finding.message}{where}. See: agentgym data check {name}")


def structure_faults(episode: Any, observation_space: Space, action_space: Space) -> Iterator[tuple[str, str]]:
    """Yield (check, message) for everything that keeps a Minari episode from being stored as arrays.

    Args:
        episode: with ``observations`` one longer than ``actions``, ``rewards``, ``terminations`` and ``truncations``.
        observation_space, action_space: the dataset's spaces; parts of Dict and Tuple spaces are checked one by one.
    """
    steps = _length(episode.rewards)
    if steps == 0:
        yield "lengths", "an episode has no step"
    for what in ("observations", "actions", "terminations", "truncations"):
        wanted, rule = (steps + 1, "one more than") if what == "observations" else (steps, "as many as")
        for found in sorted({_length(part) for part in _parts(getattr(episode, what))} - {wanted}):
            yield "lengths", f"{what} are not {rule} rewards ({found - steps:+d})"
    rewards = np.asarray(episode.rewards)
    if rewards.ndim != 1 or rewards.dtype.kind not in "iufb":
        yield "rewards", f"rewards are no single numbers ({rewards.dtype}{rewards.shape[1:]})"
    for what in ("terminations", "truncations"):
        flags = np.asarray(getattr(episode, what))
        if flags.ndim != 1 or flags.dtype.kind not in "iufb" or not np.isin(flags, (0, 1)).all():
            yield "ends", f"{what} are no flags ({flags.dtype}{flags.shape[1:]})"
    for what, space in (("observations", observation_space), ("actions", action_space)):
        for path, leaf, part in leaves(space, getattr(episode, what), what):
            if part is None:
                yield "spaces", f"{path} are missing"
            elif complaint := misfit(leaf, part):
                yield "spaces", f"{path} do not fit {leaf}: {complaint}"
            elif leaf.dtype is not None and leaf.dtype.kind != "f" and part.dtype.kind == "f" and (
                is_finite(part) and not (part == np.floor(part)).all()
            ):  # fmt: skip
                yield "spaces", f"{path} are fractions, {leaf} is of whole numbers"


class Columns(NamedTuple):
    """All episodes end to end, laid out as in :class:`~agentgym.data.dataset.OfflineDataset`.

    Attributes:
        observations, actions: (name, space, array) for a single array, or for each part of a Dict or Tuple.
    """

    observations: Sequence[tuple[str, Space, np.ndarray]]
    actions: Sequence[tuple[str, Space, np.ndarray]]
    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray
    starts: np.ndarray


def columns_of(dataset: OfflineDataset) -> Columns:
    """Columns of a dataset that is already in memory."""
    return Columns(
        [("observations", dataset.observation_space, dataset.observations)],
        [("actions", dataset.action_space, dataset.actions)],
        dataset.rewards, dataset.terminations, dataset.truncations, dataset.starts,
    )  # fmt: skip


def value_findings(columns: Columns) -> list[Finding]:
    """Findings about the values in the arrays, errors first."""
    found: list[Finding] = []
    observed = columns.starts + np.arange(len(columns.starts))  # an episode has one observation more than steps
    for parts, first_rows in ((columns.observations, observed), (columns.actions, columns.starts)):
        for path, space, values in parts:
            found += _values(path, space, values, first_rows)
    found += _values("rewards", None, columns.rewards, columns.starts)
    found += _ends(columns)
    found += _resets(columns, observed)
    return sorted(found, key=lambda finding: finding.level)  # error, then warning


def _values(path: str, space: Space | None, values: np.ndarray, starts: np.ndarray) -> Iterator[Finding]:
    """Entries that are not finite or lie outside the space; ``starts [E + 1]`` are the episodes' first rows."""
    if space is None:
        complaint = "" if values.ndim == 1 and values.dtype.kind in "iufb" else "they are no single numbers"
    else:
        complaint = misfit(space, values)
    if complaint:
        yield Finding("error", "spaces", f"{path} do not fit {space or 'rewards'}: {complaint}")
        return
    finite = np.ones(len(values), bool)
    if not is_finite(values):
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        row, episodes = _located(~finite, starts)
        entry = tuple(np.argwhere(~np.isfinite(values[row]))[0].tolist())
        place = f", entry {', '.join(map(str, entry))}" if entry else ""
        yield Finding("error", "finite", f"{path} are not finite: the first, {_step(row, starts)}{place}, is "
                      f"{values[row][entry]}", episodes)  # fmt: skip
    if space is not None and (beyond := outside(space, values) & finite).any():
        row, episodes = _located(beyond, starts)
        yield Finding("error", "spaces", f"{path} lie outside {space}: the first, {_step(row, starts)}, is "
                      f"{values[row].tolist()}", episodes)  # fmt: skip


def _located(bad: np.ndarray, starts: np.ndarray) -> tuple[int, tuple[int, ...]]:
    """The first bad row, and the episodes that have any."""
    rows = np.flatnonzero(bad)
    return int(rows[0]), tuple(np.unique(np.searchsorted(starts, rows, side="right") - 1).tolist())


def _step(row: int, starts: np.ndarray) -> str:
    episode = int(np.searchsorted(starts, row, side="right")) - 1
    return f"at step {row - int(starts[episode])} of episode {episode}"


def _ends(columns: Columns) -> Iterator[Finding]:
    last = np.zeros(len(columns.rewards), bool)
    last[columns.starts[1:] - 1] = True
    for what, flags in (("terminated", columns.terminations), ("truncated", columns.truncations)):
        if (early := flags & ~last).any():
            _, episodes = _located(early, columns.starts)
            message = f"a step before the last is {what}: are these several episodes?"
            yield Finding("error", "ends", message, episodes)
    if (lasting := last & ~columns.terminations & ~columns.truncations).any():
        _, episodes = _located(lasting, columns.starts)
        yield Finding("warning", "ends", "the last step is neither terminated nor truncated", episodes)


def _resets(columns: Columns, observed: np.ndarray) -> Iterator[Finding]:
    """Find episodes whose first observation equals the last one of the episode before.

    After a termination this is an error. After a truncation the recording may have cut one episode in two, which
    is harmless. Equal Discrete observations prove nothing, so they are skipped.
    """
    parts = [values for _, space, values in columns.observations if isinstance(space, spaces.Box)]
    if not parts or len(observed) < 3:
        return
    first, final = observed[1:-1], observed[1:-1] - 1
    same = np.all([(part[first] == part[final]).reshape(len(first), -1).all(axis=1) for part in parts], axis=0)
    terminated = columns.terminations[columns.starts[1:-1] - 1]
    if (kept := same & terminated).any():
        yield Finding(
            "error", "resets", "the first observation is the final one of the episode before, which had terminated: "
            "the recording kept an old observation over the reset", tuple((np.flatnonzero(kept) + 1).tolist()),
        )  # fmt: skip
    if (kept := same & ~terminated).any():
        yield Finding(
            "warning", "resets", "the first observation is the final one of the episode before: the recording kept "
            "an old observation over the reset, or cut one episode in two", tuple((np.flatnonzero(kept) + 1).tolist()),
        )  # fmt: skip


def leaves(space: Space, values: Any, path: str) -> Iterator[tuple[str, Space, Any]]:
    """Yield (name, space, array) for each numeric part of a space; the array is None if missing. Text is skipped."""
    match space:
        case spaces.Dict():
            for key, part in space.items():
                own = values.get(key) if isinstance(values, Mapping) else None
                yield from leaves(part, own, f"{path}[{key}]")
        case spaces.Tuple():
            for index, part in enumerate(space):
                own = values[index] if isinstance(values, tuple) and index < len(values) else None
                yield from leaves(part, own, f"{path}[{index}]")
        case _ if isinstance(space, LEAVES):
            yield path, space, None if values is None else np.asarray(values)


def _parts(values: Any) -> list[Any]:
    """Yield the arrays in a value of any space."""
    if isinstance(values, Mapping):
        return [leaf for part in values.values() for leaf in _parts(part)]
    if isinstance(values, tuple):
        return [leaf for part in values for leaf in _parts(part)]
    return [values]


def _length(values: Any) -> int:
    return len(values) if np.ndim(values) or isinstance(values, list) else 0
