"""Locks that let only one process at a time write a run or make a dataset.

The lock is a file lock of the operating system, which is released when its process ends for any reason. On file systems
whose locks work on one machine only, ``running.json`` serves as the lock: its owner touches it regularly.
"""

import errno
import json
import os
import platform
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from agentgym.errors import NotWritable, RunInUse
from agentgym.runs.files import FULL_DISK, write_file

__all__ = ["FILES", "RunLock", "locked"]

HOLDER = "running.json"
FILES = (HOLDER, ".lock")
TOUCHED_EVERY = 10.0  # seconds
DEAD_AFTER = 60.0  # seconds without a touch after which a process on another machine counts as dead


class RunLock:
    """The lock of a run, made by :func:`locked`."""

    def __init__(self, folder: Path, command: str) -> None:
        self.folder = folder
        self._about = {
            "host": platform.node(), "machine": _machine(), "pid": os.getpid(), "command": command,
            "since": datetime.now(UTC).isoformat(timespec="seconds"), "token": secrets.token_hex(8),
        }  # fmt: skip
        self._over = threading.Event()

    def require(self) -> None:
        """Check that no other process has taken over the run because this one was suspended or disconnected.

        Raises:
            RunInUse: another process has taken over.
        """
        held = _read(self.folder / HOLDER)
        if held is not None and held.get("token") != self._about["token"]:
            raise RunInUse(f"{self.folder} was taken over while this process was suspended: {_named(held)}.")

    def _hold(self) -> None:
        write_file(self.folder / HOLDER, json.dumps(self._about, indent=1))
        threading.Thread(target=self._touch, daemon=True, name="agentgym lock").start()

    def _touch(self) -> None:
        while not self._over.wait(TOUCHED_EVERY):
            with suppress(OSError):
                os.utime(self.folder / HOLDER)

    def _release(self) -> None:
        self._over.set()
        held = _read(self.folder / HOLDER)
        if held is not None and held.get("token") == self._about["token"]:
            for name in FILES:  # remove the lock file while it is held, so that no process waits on a removed file
                (self.folder / name).unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, command: str) -> Iterator[RunLock]:
    """Lock the run in ``folder``, which is created if necessary.

    Args:
        folder: folder of the run.
        command: command of this process, for the messages of other processes.

    Raises:
        RunInUse: another process or thread holds the lock; the message names it.
        NotWritable: the folder is not writable.
        OSError: the disk is full.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    lock, held = FileLock(folder / ".lock", timeout=0), RunLock(folder, command)
    try:
        alone = _acquire(lock, folder)
        _require_dead(folder, alone)
        held._hold()
        yield held
    finally:
        held._release()
        lock.release()
        for path in made:  # removed if still empty
            with suppress(OSError):
                path.rmdir()


def _acquire(lock: FileLock, folder: Path) -> bool:
    """Acquire the file lock; return False if the file system has no locks."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunInUse(f"{folder} is in use: {_named(_read(folder / HOLDER))}. {_ADVICE}") from None
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            return False
        if error.errno in FULL_DISK:
            raise
        raise NotWritable(f"{folder} cannot be written: {error.strerror} ({error.filename or folder}).") from error
    return True


_ADVICE = "Let it end, or stop it, and try again."


def _require_dead(folder: Path, alone: bool) -> None:
    """Check that the previous owner is dead, which is certain if the file lock was acquired on the same machine.

    Raises:
        RunInUse: the owner is on another machine (or there are no file locks) and has touched its file recently.
    """
    file = folder / HOLDER
    held = _read(file)
    if held is None or (alone and held.get("machine") == _machine()):
        return
    probe = folder / f".{secrets.token_hex(4)}.new"  # gives the time of the file system's clock
    write_file(probe, "")
    quiet = probe.stat().st_mtime - file.stat().st_mtime
    probe.unlink()
    if quiet < DEAD_AFTER:
        raise RunInUse(
            f"{folder} is in use: {_named(held)}, last seen {quiet:.0f} s ago. If that process was killed, try again "
            f"in {DEAD_AFTER - quiet:.0f} s."
        )


def _read(file: Path) -> dict[str, Any] | None:
    """The owner of the lock; None if there is none or the file is damaged."""
    try:
        owner = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) else None


def _named(held: dict[str, Any] | None) -> str:
    if held is None:
        return "another process"
    return f"process {held.get('pid')} on {held.get('host')} since {held.get('since')} ({held.get('command')})"


def _machine() -> str:
    """An identifier shared by all processes under the same kernel, including containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()
