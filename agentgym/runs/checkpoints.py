"""A run's checkpoints: the newest ones, whole or not at all, and the rows that they share.

runs/NAME/checkpoints/
    0000005000/            everything but the rows
    rows/replay-000000000000-000000005000/    new rows since the checkpoint before
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
_LEFT = re.compile(r"\..*\.(new|old)")  # of a write that was killed


class Segment(NamedTuple):
    """Rows ``first`` to ``last`` (exclusive), and the SHA-256 of the manifest of the folder that holds them."""

    first: int
    last: int
    digest: str


@dataclass(frozen=True)
class Saved:
    """One checkpoint, read and checked.

    Attributes:
        step: environment steps at which it was made.
        state: the items by name.
        segments: for each :class:`Rows` where its segments are, in order.
    """

    step: int
    state: dict[str, Any]
    segments: dict[str, list[tuple[Segment, Path]]]

    def restore_rows(self, rows: Sequence[Rows]) -> None:
        """Put the rows back, one segment at a time: all of them together may not fit into memory twice."""
        for part in rows:
            for segment, folder in self.segments.get(part.name, []):
                part.write(segment.first, segment.last, state_files.read(folder).arrays)


class Checkpoints:
    """The checkpoints in one folder.

    Args:
        folder: where they are; made when the first is written.
        keep: how many are kept; 0 keeps all.
    """

    def __init__(self, folder: Path | str, keep: int = 2) -> None:
        self.folder, self.keep = Path(folder), keep
        self._segments: dict[str, list[Segment]] = {}  # of the run as it is now
        self._whole: dict[int, set[Path]] = {}  # by step: the segments of a checkpoint known to be whole

    def steps(self) -> list[int]:
        """At which steps there are checkpoints, oldest first."""
        return sorted(int(path.name) for path in self._folders(_STEP) if state_files.own_files(path))

    def _folders(self, names: re.Pattern[str], within: str = ".") -> list[Path]:
        """Folders with names of ours; what else lies there is not looked at."""
        place = self.folder / within
        found = [path for path in place.iterdir() if names.fullmatch(path.name)] if place.is_dir() else []
        return [path for path in found if path.is_dir() and not path.is_symlink()]

    def write(self, step: int, inventory: Inventory) -> Path:
        """Write one checkpoint: new rows first, then the folder that names them; then drop what is no longer needed.

        Raises:
            OSError: the disk is full or not writable; the checkpoints written before are untouched.
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
        """Write the rows that no segment holds; forget segments whose rows have all been overwritten."""
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
        """The newest checkpoint that is whole; a broken one is named in a warning and passed over.

        Raises:
            CorruptFile: there are checkpoints, and all are broken.
        """
        state_files.recover(self.folder)
        broken = []
        for step in reversed(self.steps()):
            try:
                saved = self.read(step)
            except (CorruptFile, FileNotFoundError) as error:
                warnings.warn(f"checkpoint {step} is broken and passed over: {error}", stacklevel=2)
                broken.append(f"{step}: {error}")
                continue
            self._segments = {name: [part for part, _ in parts] for name, parts in saved.segments.items()}
            for known in [saved, *self._older(step)]:
                self._whole[known.step] = {path for parts in known.segments.values() for _, path in parts}
            return saved
        if broken:
            raise CorruptFile(f"No checkpoint in {self.folder} is whole ({'; '.join(broken)}). Train the run again.")
        return None

    def _older(self, step: int) -> list[Saved]:
        """Those before ``step``, where all are kept."""
        return [] if self.keep else [self.read(older) for older in self.steps() if older < step]

    def read(self, step: int) -> Saved:
        """The checkpoint of that step.

        Raises:
            FileNotFoundError: there is none.
            CorruptFile: it is damaged.
        """
        contents = state_files.read(self.folder / f"{step:010d}")
        try:
            if contents.values["step"] != step:
                raise CorruptFile(f"it was made at step {contents.values['step']}")
            named = {
                name: [Segment(*part) for part in parts] for name, parts in contents.values.pop("segments").items()
            }
            state = unpack(contents)["items"]
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptFile(f"it is no checkpoint of a run ({error!r})") from error
        segments = {name: [(part, self._path(name, part)) for part in parts] for name, parts in named.items()}
        for part, path in (pair for parts in segments.values() for pair in parts):
            state_files.read(path)  # is it whole?
            if _digest(path) != part.digest:
                raise CorruptFile(f"{path.name} holds other rows than when the checkpoint was made")
        return Saved(step, state, segments)

    def _path(self, name: str, segment: Segment) -> Path:
        return self.folder / "rows" / f"{name}-{segment.first:012d}-{segment.last:012d}"

    def _prune(self) -> None:
        """Keep the newest checkpoints and the segments that they name; drop the rest, and what a killed write left."""
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
        """Delete all checkpoints; the folder too, unless it holds something else."""
        self._whole = {}
        self._prune()
        for folder in (self.folder / "rows", self.folder):
            with suppress(OSError):
                folder.rmdir()


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / state_files.MANIFEST).read_bytes()).hexdigest()
