"""Atomic and durable writing of files."""

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from agentgym.errors import InvalidParameter

__all__ = ["FULL_DISK", "flush_folder", "replacing", "require_writable", "unused", "write_file", "write_flushed"]

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)  # errno of an OSError


def unused(path: Path) -> Path:
    """``path``, or the first of NAME-2, NAME-3, ... that does not exist."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([path], numbered) if not os.path.lexists(candidate))


def require_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before the work is done. Parent folders need not exist.

    Raises:
        InvalidParameter: it is a folder, a parent is a file, or it is not writable.
    """
    if path.is_dir():
        raise InvalidParameter(f"{path} is a folder. Name a file.")
    there = path if path.exists() else next(folder for folder in path.parents if folder.exists())
    if there != path and not there.is_dir():
        raise InvalidParameter(f"{path} cannot be written: {there} is not a folder.")
    if not os.access(there, os.W_OK):
        raise InvalidParameter(f"{path} cannot be written: {there} is read-only.")


def write_file(path: Path | str, data: str | bytes) -> None:
    """Replace a file atomically: a reader sees either the old or the new contents."""
    with replacing(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def replacing(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file that atomically replaces ``path`` when the block ends; after an error, ``path`` stays as it was."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with fresh.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def write_flushed(path: Path, data: bytes) -> None:
    """Write a file and flush it to the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Flush the entries of a folder to the disk (POSIX only; elsewhere folders cannot be opened)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
