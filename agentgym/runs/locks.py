"""One process at a time writes a run or makes a dataset; who else wants to is told which process that is.

The operating system's file lock decides wherever it can: it ends with its process, however that ends. Where a file
system keeps such locks to one machine, ``running.json`` decides: its owner touches it while it lives.
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
from agentgym.runs.files import write_file

__all__ = ["FILES", "RunLock", "locked"]

HOLDER = "running.json"
FILES = (HOLDER, ".lock")
TOUCHED_EVERY = 10.0  # seconds
DEAD_AFTER = 60.0  # seconds without a touch, on another machine


class RunLock:
    """The right to write one run, as :func:`locked` gives it."""

    def __init__(self, folder: Path, command: str) -> None:
        self.folder = folder
        self._about = {
            "host": platform.node(), "machine": _machine(), "pid": os.getpid(), "command": command,
            "since": datetime.now(UTC).isoformat(timespec="seconds"), "token": secrets.token_hex(8),
        }  # fmt: skip
        self._over = threading.Event()

    def require(self) -> None:
        """Go on only if no other process has taken the run, having found this one dead (asleep, cut off).

        Raises:
            RunInUse: one has.
        """
        held = _read(self.folder / HOLDER)
        if held is not None and held.get("token") != self._about["token"]:
            raise RunInUse(f"{self.folder} was taken over while this process stood still: {_named(held)}.")

    def _hold(self) -> None:
        write_file(self.folder / HOLDER, json.dumps(self._about, indent=1))
        threading.Thread(target=self._touch, daemon=True, name="agentgym lock").start()

    def _touch(self) -> None:
        while not self._over.wait(TOUCHED_EVERY):
            with suppress(OSError):
                os.utime(self.folder / HOLDER)

    def _let_go(self) -> None:
        self._over.set()
        held = _read(self.folder / HOLDER)
        if held is not None and held.get("token") == self._about["token"]:
            for name in FILES:  # the lock's file while it is still held: nobody can be waiting on the one removed
                (self.folder / name).unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, command: str) -> Iterator[RunLock]:
    """Within, no other process writes the run in ``folder``, which is made where it is missing.

    Args:
        folder: the run's.
        command: what this process is doing, for others to read.

    Raises:
        RunInUse: another process, or thread, is at it; the message names it.
        NotWritable: nothing can be written there.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    lock, held = FileLock(folder / ".lock", timeout=0), RunLock(folder, command)
    try:
        alone = _acquire(lock, folder)
        _require_dead(folder, alone)
        held._hold()
        yield held
    finally:
        held._let_go()
        lock.release()
        for path in made:  # if nothing was put there
            with suppress(OSError):
                path.rmdir()


def _acquire(lock: FileLock, folder: Path) -> bool:
    """Whether the operating system now keeps other processes away; False where its file system has no locks."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunInUse(f"{folder} is in use: {_named(_read(folder / HOLDER))}. {_ADVICE}") from None
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            return False
        raise NotWritable(f"{folder} cannot be written: {error.strerror} ({error.filename or folder}).") from error
    return True


_ADVICE = "Let it end, or stop it, and try again."


def _require_dead(folder: Path, alone: bool) -> None:
    """Who held the run before is dead if the operating system, on the same machine, gave the lock.

    Raises:
        RunInUse: another machine's process (or any, where there are no locks) showed a sign of life not long ago.
    """
    file = folder / HOLDER
    held = _read(file)
    if held is None or (alone and held.get("machine") == _machine()):
        return
    probe = folder / f".{secrets.token_hex(4)}.new"  # what time it is by the clock that dates the files
    write_file(probe, "")
    quiet = probe.stat().st_mtime - file.stat().st_mtime
    probe.unlink()
    if quiet < DEAD_AFTER:
        raise RunInUse(
            f"{folder} is in use: {_named(held)}, {quiet:.0f} s ago still running. If that process was killed, try "
            f"again in {DEAD_AFTER - quiet:.0f} s."
        )


def _read(file: Path) -> dict[str, Any] | None:
    """Who holds the lock; None where nobody, or nobody legible, does."""
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _named(held: dict[str, Any] | None) -> str:
    if held is None:
        return "another process"
    return f"process {held.get('pid')} on {held.get('host')} since {held.get('since')} ({held.get('command')})"


def _machine() -> str:
    """What is the same for all processes that one kernel's locks keep apart, containers included."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()
