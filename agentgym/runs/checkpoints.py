"""Checkpoints of a run: atomic, with segments of rows (of a replay buffer, for example) that they share.

runs/NAME/checkpoints/
    0000005000/            everything except the rows
    rows/replay-000000000000-000000005000/    rows added since the previous checkpoint
"""

import hashlib
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agentgym.errors import CorruptFile
from agentgym.runs import state_files
from agentgym.runs.state import Inventory, Rows, pack, unpack
from agentgym.runs.state_files import Contents

__all__ = ["Checkpoints", "Saved"]

_STEP = re.compile(r"\d{10}|[1-9]\d{10,}")
_ROWS = re.compile(r"[^.].*-\d{12,}-\d{12,}")
_LEFT = re.compile(r"\..*\.(new|old)")  # left over from a killed write


class Segment(NamedTuple):
    """Rows ``first`` to ``last`` (exclusive), and the SHA-256 of the manifest of their folder."""

    first: int
    last: int
    digest: str


@dataclass(frozen=True)
class Saved:
    """A validated checkpoint.

    Attributes:
        step: number of environment steps at which it was written.
        state: items by name.
        segments: segments of each :class:`Rows` with their folders, in order.
    """

    step: int
    state: dict[str, Any]
    segments: dict[str, list[tuple[Segment, Path]]]

    def restore_rows(self, rows: Sequence[Rows]) -> None:
        """Restore the rows one segment at a time, because memory may not hold all of them twice."""
        for part in rows:
            for segment, folder in self.segments.get(part.name, []):
                part.write(segment.first, segment.last, state_files.read(folder).arrays)


class Checkpoints:
    """The checkpoints of a run.

    Args:
        folder: their folder; created with the first checkpoint.
        keep: number of newest checkpoints to keep; 0 keeps all.
    """

    def __init__(self, folder: Path | str, keep: int = 2) -> None:
        self.folder, self.keep = Path(folder), keep
        self._segments: dict[str, list[Segment]] = {}  # segments of the current run
        self._whole: dict[int, set[Path]] = {}  # segments of checkpoints known to be intact, by step

    def steps(self) -> list[int]:
        """The steps of all checkpoints in ascending order."""
        return sorted(int(path.name) for path in self._folders(_STEP) if state_files.own_files(path))

    def _folders(self, names: re.Pattern[str], within: str = ".") -> list[Path]:
        """Folders whose names match ``names``."""
        place = self.folder / within
        matches = [path for path in place.iterdir() if names.fullmatch(path.name)] if place.is_dir() else []
        return [path for path in matches if path.is_dir() and not path.is_symlink()]

    def write(self, step: int, inventory: Inventory) -> Path:
        """Write a checkpoint: first the new rows, then the folder that refers to them. Then delete old checkpoints.

        Raises:
            OSError: the disk is full or not writable; earlier checkpoints are not affected.
        """
        for rows in inventory.rows:
            self._write_rows(rows)
        contents = pack({"items": inventory.read()})
        contents.values |= {"step": step, "segments": self._segments}
        path = state_files.write(self.folder / f"{step:010d}", contents)
        self._whole[step] = {self._path(name, segment) for name, parts in self._segments.items() for segment in parts}
        self._prune()
        return path

    def _write_rows(self, rows: Rows) -> None:
        """Write the rows that are in no segment yet; forget segments whose rows have all been overwritten."""
        count = rows.count()
        alive = max(0, count - rows.capacity)
        known = [segment for segment in self._segments.get(rows.name, []) if segment.last > alive]
        first = max(known[-1].last if known else 0, alive)
        if count > first:
            path = self._path(rows.name, Segment(first, count, ""))
            state_files.write(path, Contents(arrays=rows.read(first, count)))
            known.append(Segment(first, count, _digest(path)))
        self._segments[rows.name] = known

    def newest(self) -> Saved | None:
        """The newest intact checkpoint; damaged ones are skipped with a warning. None if there is no checkpoint.

        Raises:
            CorruptFile: all checkpoints are damaged.
        """
        state_files.recover(self.folder)
        broken = []
        for step in reversed(self.steps()):
            try:
                saved = self.read(step)
            except (CorruptFile, FileNotFoundError) as error:
                warnings.warn(f"checkpoint {step} is damaged and skipped: {error}", stacklevel=2)
                broken.append(f"{step}: {error}")
                continue
            self._segments = {name: [part for part, _ in parts] for name, parts in saved.segments.items()}
            for known in [saved, *self._older(step)]:
                self._whole[known.step] = {path for parts in known.segments.values() for _, path in parts}
            return saved
        if broken:
            raise CorruptFile(f"All checkpoints in {self.folder} are damaged ({'; '.join(broken)}). Train again.")
        return None

    def _older(self, step: int) -> list[Saved]:
        """The checkpoints before ``step`` if all are kept."""
        return [] if self.keep else [self.read(older) for older in self.steps() if older < step]

    def read(self, step: int) -> Saved:
        """Read the checkpoint of a step.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            CorruptFile: it is damaged.
        """
        contents = state_files.read(self.folder / f"{step:010d}")
        try:
            if contents.values["step"] != step:
                raise CorruptFile(f"it was written at step {contents.values['step']}")
            named = {
                name: [Segment(*part) for part in parts] for name, parts in contents.values.pop("segments").items()
            }
            state = unpack(contents)["items"]
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptFile(f"it is not a checkpoint of a run ({error!r})") from error
        segments = {name: [(part, self._path(name, part)) for part in parts] for name, parts in named.items()}
        for part, path in (pair for parts in segments.values() for pair in parts):
            state_files.read(path)  # raises if it is damaged
            if _digest(path) != part.digest:
                raise CorruptFile(f"the rows in {path.name} have changed since the checkpoint was written")
        return Saved(step, state, segments)

    def _path(self, name: str, segment: Segment) -> Path:
        return self.folder / "rows" / f"{name}-{segment.first:012d}-{segment.last:012d}"

    def _prune(self) -> None:
        """Keep the newest checkpoints and their segments; delete the rest, including leftovers of killed writes."""
        kept = sorted(self._whole)[-self.keep :]
        self._whole = {step: self._whole[step] for step in kept}
        for step in self.steps():
            if step not in kept:
                state_files.remove(self.folder / f"{step:010d}")
        needed = set().union(*self._whole.values())
        for path in [*self._folders(_ROWS, "rows"), *self._folders(_LEFT), *self._folders(_LEFT, "rows")]:
            if path not in needed:
                state_files.remove(path)

    def clear(self) -> None:
        """Delete all checkpoints, and the folder unless it holds other files."""
        self._whole = {}
        self._prune()
        for folder in (self.folder / "rows", self.folder):
            with suppress(OSError):
                folder.rmdir()


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / state_files.MANIFEST).read_bytes()).hexdigest()
