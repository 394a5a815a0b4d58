"""Files that are whole or not there, also after a power cut."""

import itertools
import os
from pathlib import Path

from agentgym.errors import InvalidParameter

__all__ = ["flush_folder", "require_writable", "unused", "write_file", "write_flushed"]


def unused(path: Path) -> Path:
    """``path``, or the first of NAME-2, NAME-3, ... that is not there."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in itertools.count(2))
    return next(one for one in itertools.chain([path], numbered) if not os.path.lexists(one))


def require_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before the work is done; folders on the way need not be there yet.

    Raises:
        InvalidParameter: it is a folder, a file stands where a folder should, or it may not be written.
    """
    if path.is_dir():
        raise InvalidParameter(f"{path} is a folder. Name a file.")
    there = path if path.exists() else next(folder for folder in path.parents if folder.exists())
    if there != path and not there.is_dir():
        raise InvalidParameter(f"{path} cannot be written: {there} is no folder.")
    if not os.access(there, os.W_OK):
        raise InvalidParameter(f"{path} cannot be written: {there} is read-only.")


def write_file(path: Path | str, data: str | bytes) -> None:
    """Replace one file whole: a reader sees the old or the new text, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        write_flushed(fresh, data.encode() if isinstance(data, str) else data)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def write_flushed(path: Path, data: bytes) -> None:
    """Write a file and see it on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make names in a folder survive a power cut (POSIX; elsewhere a folder cannot be opened)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
