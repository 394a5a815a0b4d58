"""Control groups, version 1 or 2: limits of memory and processes for a whole tree, where this machine allows them."""

import contextlib
import os
import time
from collections.abc import Iterable
from itertools import count
from pathlib import Path

__all__ = ["Group", "make_group"]

ROOT = Path("/sys/fs/cgroup")
_NUMBERS = count()


class Group:
    """The folders of one sandbox's control group.

    Attributes:
        folders: one for each controller (version 1), or a single one.
        limited: which of "memory" and "processes" it limits.
    """

    def __init__(self, folders: list[Path], limited: set[str]) -> None:
        self.folders, self.limited = folders, limited

    def close(self) -> None:
        """Remove the group, as soon as its last process has ended."""
        for folder in self.folders:
            for _ in range(200):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:  # its processes are still ending
                    time.sleep(0.005)


def make_group(memory: int | None, processes: int | None) -> Group:
    """A group that limits memory, in MiB, and the number of processes, as far as this machine allows it.

    It limits nothing, and has no folders, where control groups cannot be written.
    """
    name = f"agentgym-{os.getpid()}-{next(_NUMBERS)}"
    wanted: dict[str, dict[str, str]] = {}  # controller: file and value, version 1
    if memory is not None:
        wanted["memory"] = {"memory.limit_in_bytes": str(memory << 20)}
    if processes is not None:
        wanted["pids"] = {"pids.max": str(processes)}
    names = {"memory": "memory", "pids": "processes"}
    if (ROOT / "cgroup.controllers").exists():
        return _version_2(name, wanted, names)
    folders, limited = [], set()
    for controller, values in wanted.items():
        folder = ROOT / controller / _own(controller).lstrip("/") / name
        if not folder.parent.is_dir():  # a container sees its own group as the root
            folder = ROOT / controller / name
        if _written(folder, values):
            folders.append(folder)
            limited.add(names[controller])
            if controller == "memory":  # only kernels that count swap have this file
                with contextlib.suppress(OSError):
                    (folder / "memory.memsw.limit_in_bytes").write_text(values["memory.limit_in_bytes"])
    return Group(folders, limited)


def _version_2(name: str, wanted: dict[str, dict[str, str]], names: dict[str, str]) -> Group:
    """In the group of this process, or in the nearest one above it: one that has processes itself may hand on none."""
    values: dict[str, str] = {}
    if "memory" in wanted:
        values |= {"memory.max": wanted["memory"]["memory.limit_in_bytes"], "memory.swap.max": "0"}
    values |= wanted.get("pids", {})
    own = ROOT / _own("").lstrip("/")
    for above in (own, *own.parents):
        if not above.is_relative_to(ROOT):
            break
        if _hands_on(above, wanted) and _written(above / name, values):
            return Group([above / name], {names[controller] for controller in wanted})
    return Group([], set())


def _hands_on(folder: Path, controllers: Iterable[str]) -> bool:
    """Whether groups in this one can have these controllers; they are switched on if need be."""
    switch = folder / "cgroup.subtree_control"
    try:
        enabled = switch.read_text().split()
        if missing := [controller for controller in controllers if controller not in enabled]:
            switch.write_text(" ".join(f"+{controller}" for controller in missing))
    except OSError:
        return False
    return True


def _own(controller: str) -> str:
    """The group of this process for a controller; "" for version 2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return "/"


def _written(folder: Path, values: dict[str, str]) -> bool:
    """Make a group and set its limits; nothing is left behind where that is not allowed."""
    try:
        folder.mkdir()
    except OSError:
        return False
    try:
        for file, value in values.items():
            if (folder / file).exists() or file != "memory.swap.max":
                (folder / file).write_text(value)
    except OSError:
        folder.rmdir()
        return False
    return True
