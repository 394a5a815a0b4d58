"""The command lines that start a sandbox, by level."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from agentgym.envs.code.sandbox import inside
from agentgym.envs.code.sandbox.limits import FLOOD, Limits
from agentgym.errors import InvalidParameter

__all__ = ["LEVELS", "Interpreter", "Level", "command_line", "environment", "interpreter_of", "settings_of"]

Level = Literal["bwrap", "unshare", "plain"]
LEVELS: tuple[Level, ...] = get_args(Level)
WORK = "/work"
PYTHON = "/python"
INTERPRETER, PACKAGES = "/interpreter", "/packages"  # of an interpreter that was named

# Roots of the system that commands may read. /etc, /home, /root, /var, /run, /opt and /srv are not among them.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
ETC = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime")
DEVICES = ("null", "zero", "full", "random", "urandom")


@dataclass(frozen=True)
class Interpreter:
    """An interpreter of this machine with its packages, which commands may use and not change.

    Attributes:
        program: path of the interpreter, perhaps in a virtual environment.
        base: folder of its installation.
        packages: folders of its installed packages. ``.pth`` files in them have no effect, so an editable installation
            is not seen.
    """

    program: str
    base: str
    packages: tuple[str, ...]

    @property
    def is_system(self) -> bool:
        """Whether sandboxes see it at its own place."""
        return self.base == "/usr" or self.base.startswith("/usr/")

    def variables(self, level: Level, work: str) -> dict[str, str]:
        """The environment variables that make it the interpreter of commands."""
        if level == "plain":
            home, packages = self.base, list(self.packages)
        else:
            home = self.base if self.is_system else INTERPRETER
            packages = [place for _, place in self.binds() if place != INTERPRETER]
        library = {} if self.is_system else {"LD_LIBRARY_PATH": f"{home}/lib"}
        # Repositories keep their packages in the root or in src.
        return library | {
            "PATH": f"{home}/bin:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": ":".join([work, f"{work}/src", *packages]),
        }

    def binds(self) -> list[tuple[str, str]]:
        """Pairs of host folder and place in the sandbox."""
        home = [] if self.is_system else [(self.base, INTERPRETER)]
        return [*home, *((folder, f"{PACKAGES}/{n}") for n, folder in enumerate(self.packages))]

    def covered(self) -> list[str]:
        """Places in the sandbox with packages that are not its own: of its installation, if it is an environment."""
        found = [] if self.is_system else list(Path(self.base).glob("lib/python3*/site-packages"))
        return [INTERPRETER + str(folder).removeprefix(self.base) for folder in found]


@cache
def interpreter_of(program: str) -> Interpreter:
    """Ask an interpreter for its folders.

    Raises:
        InvalidParameter: it does not run, or is no Python 3.
    """
    code = (
        "import json,os,sys,sysconfig;p=sysconfig.get_paths();"
        "print(json.dumps([sys.version_info[0],os.path.realpath(sys.base_prefix),p['purelib'],p['platlib']]))"
    )
    try:
        done = subprocess.run([program, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True)
        major, base, *packages = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise InvalidParameter(f"{program!r} is no Python interpreter that runs here ({error}).") from error
    if major != 3:
        raise InvalidParameter(f"{program!r} is Python {major}; name an interpreter of Python 3.")
    folders = dict.fromkeys(os.path.realpath(folder) for folder in packages if os.path.isdir(folder))
    return Interpreter(program, base, tuple(folders))


def environment(work: str, python: str) -> dict[str, str]:
    """The variables that commands start with: none of the caller's. No pager, prompt or colour waits for a terminal."""
    library = {"LD_LIBRARY_PATH": f"{PYTHON}/lib"} if python.startswith(PYTHON + "/") else {}
    return library | {
        "PATH": f"{os.path.dirname(python)}:/usr/local/bin:/usr/bin:/bin", "HOME": work, "TMPDIR": "/tmp",
        "LANG": "C.UTF-8", "TERM": "dumb", "PAGER": "cat", "GIT_PAGER": "cat", "MANPAGER": "cat",
        "GIT_TERMINAL_PROMPT": "0", "DEBIAN_FRONTEND": "noninteractive", "NO_COLOR": "1", "PIP_NO_INPUT": "1",
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
    }  # fmt: skip


def settings_of(
    limits: Limits, level: Level, work: str, limited: Set[str], without: Set[str], python: Interpreter | None = None
) -> dict[str, Any]:
    """What :mod:`agentgym.envs.code.sandbox.inside` needs to know.

    Args:
        limited: what a control group limits already.
        without: properties to leave out, for tests of the probe.
        python: the interpreter of the commands, if one was named.
    """
    named = python.variables(level, work) if python else {}
    own = {
        "cpu": None if "cpu" in without else limits.cpu,
        "file_size": None if "file size" in without else limits.file_size,
        "memory": None if "memory" in limited | set(without) else limits.memory,
        "processes": None if "processes" in limited | set(without) else limits.processes,
    }
    others = dict(os.environ) if "clean environment" in without else {}
    return {
        "limits": own, "output": limits.output if "output" not in without else 1 << 26,
        "flood": FLOOD * limits.output if "output" not in without else None,
        "kill": "kill" not in without, "work": work,
        "environment": {**others, **environment(work, python_inside(level)), **named},
    }  # fmt: skip


def python_inside(level: Level) -> str:
    """The interpreter's path as a sandbox sees it: the one that runs this process, without its packages."""
    real = os.path.realpath(sys.executable)
    base = os.path.realpath(sys.base_prefix)
    if level == "plain" or base == "/usr" or base.startswith("/usr/"):
        return real
    return PYTHON + real.removeprefix(base)


def command_line(
    level: Level, limits: Limits, work: str, without: Set[str], named: Interpreter | None = None
) -> list[str]:
    """The program and arguments that start :mod:`agentgym.envs.code.sandbox.inside` at a level."""
    python = [python_inside(level), "-I", "-S", "-c", _source()]
    if python[0].startswith(PYTHON + "/"):  # an interpreter with a shared library finds it at its old place only
        python = ["/usr/bin/env", f"LD_LIBRARY_PATH={PYTHON}/lib", *python]
    binds = [*_binds(), *(named.binds() if named else [])]
    covers = [*map(_inside, _hidden()), *(named.covered() if named else [])]
    if level == "bwrap":
        return [*_bwrap(limits, without, binds, covers), *python]
    if level == "unshare":
        flags = ["--user", "--map-root-user", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
        flags += [] if "network" in without else ["--net"]
        script = _unshare_script(limits, without, binds, covers)
        caps = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        caps = [] if "privileges" in without else caps
        return ["unshare", *flags, "/bin/sh", "-c", script, "sh", *caps, *python]
    return python


def _source() -> str:
    text = Path(inside.__file__).read_text(encoding="utf-8")
    return f"{text}\n\nmain(receive())\n"


@cache
def _hidden() -> list[str]:
    """Folders of installed packages, which hold this package and with it the repositories without faults."""
    paths = sysconfig.get_paths()
    folders = {paths["purelib"], paths["platlib"]}
    base = os.path.realpath(sys.base_prefix)
    folders |= {
        str(found)
        for root in (base, "/usr", "/usr/local")
        for pattern in ("lib/python3*/site-packages", "lib/python3*/dist-packages", "lib/python3/dist-packages")
        for found in Path(root).glob(pattern)
    }
    for entry in [*sys.path, str(Path(__file__).parents[4])]:  # an editable installation, or PYTHONPATH
        if entry and os.path.isdir(os.path.join(entry, "agentgym")):
            folders.add(os.path.realpath(entry))
    shown = (*SYSTEM, base)
    seen = (os.path.realpath(folder) for folder in folders if os.path.isdir(folder))
    return sorted({folder for folder in seen if any(folder.startswith(root + "/") for root in shown)})


def _inside(folder: str) -> str:
    """A folder's path in the sandbox."""
    base = os.path.realpath(sys.base_prefix)
    if base != "/usr" and not base.startswith("/usr/") and folder.startswith(base + "/"):
        return PYTHON + folder.removeprefix(base)
    return folder


def _binds() -> list[tuple[str, str]]:
    """Pairs of host folder and place in the sandbox."""
    pairs = [(root, root) for root in SYSTEM if os.path.isdir(root) and not os.path.islink(root)]
    base = os.path.realpath(sys.base_prefix)
    if python_inside("bwrap").startswith(PYTHON + "/"):
        pairs.append((base, PYTHON))
    return pairs


def _links() -> list[tuple[str, str]]:
    return [(os.readlink(root), root) for root in SYSTEM if os.path.islink(root)]


def _bwrap(limits: Limits, without: Set[str], binds: list[tuple[str, str]], covers: list[str]) -> list[str]:
    bind = "--bind" if "read-only system" in without else "--ro-bind"
    size = [] if "disk" in without else ["--size", str(limits.disk << 20)]
    shm = [] if "disk" in without else ["--size", str(1 << 20)]
    line = [
        "bwrap", "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try",
        "--die-with-parent", "--new-session", "--as-pid-1", "--hostname", "sandbox", "--uid", "1000", "--gid", "1000",
    ]  # fmt: skip
    line += [] if "network" in without else ["--unshare-net"]
    line += ["--cap-add", "ALL"] if "privileges" in without else ["--cap-drop", "ALL", "--disable-userns"]
    line += [] if "clean environment" in without else ["--clearenv"]
    for source, target in binds:
        line += [bind, source, target]
    for source, target in _links():
        line += ["--symlink", source, target]
    for path in ETC:
        line += ["--ro-bind-try", path, path]
    for folder in covers:
        line += ["--size", "4096", "--tmpfs", folder, "--remount-ro", folder]
    line += [
        "--proc",
        "/proc",
        *_closed_proc(without),
        "--dev",
        "/dev",
        *shm,
        "--tmpfs",
        "/dev/shm",
        "--remount-ro",
        "/dev",
    ]
    line += ["--bind", "/tmp", "/tmp"] if "private /tmp" in without else [*size, "--tmpfs", "/tmp"]
    line += [*size, "--tmpfs", WORK]
    for folder in ("/home", "/root") if "host files" in without else ():
        line += ["--ro-bind-try", folder, folder]
    if "read-only system" not in without:
        line += ["--remount-ro", "/"]
    return [*line, "--chdir", WORK, "--"]


def _closed_proc(without: Set[str]) -> list[str]:
    """Read-only covers of what root, who may own the sandbox, could write in /proc without any capability."""
    closed = [] if "read-only system" in without else ["/proc/sys", "/proc/sysrq-trigger"]
    return [part for path in closed if os.path.exists(path) for part in ("--ro-bind", path, path)]


def _unshare_script(limits: Limits, without: Set[str], binds: list[tuple[str, str]], covers: list[str]) -> str:
    """A root of its own from bind mounts, for machines without bubblewrap."""
    size = "" if "disk" in without else f",size={limits.disk}m"
    ready = "" if "read-only system" in without else "mount -o remount,bind,ro"
    root = tempfile.gettempdir()
    lines = ["set -e", "mount --make-rprivate /", f"mount -t tmpfs -o mode=755,size=4m none {root}", f"cd {root}"]

    def bound(source: str, target: str) -> None:
        lines.append(f"mkdir -p .{target} && mount --rbind '{source}' .{target}")
        if ready:
            lines.append(f"{ready} .{target}")

    # The temporary folder is covered from here on: what lies below it has to be bound from elsewhere.
    for source, target in binds:
        bound(source, target)
    lines += [f"ln -s {source} .{target}" for source, target in _links()]
    lines += [f"mount -t tmpfs -o size=4k,ro none .{folder}" for folder in covers]
    lines += ["mkdir -p etc proc dev tmp work old && mount -t proc proc proc"]
    # Without root only one user is mapped, and owners cannot be kept.
    lines += [f"[ ! -e {path} ] || cp -dR --preserve=links,mode {path} .{path}" for path in ETC]
    for path in ("sys", "sysrq-trigger", "irq", "bus"):
        lines.append(
            f"[ ! -e proc/{path} ] || {{ mount --bind proc/{path} proc/{path} && {ready or ':'} proc/{path}; }}"
        )
    lines += [f"touch dev/{device} && mount --bind /dev/{device} dev/{device}" for device in DEVICES]
    lines += ["mkdir dev/shm && mount -t tmpfs -o size=1m none dev/shm"]
    if "private /tmp" not in without:
        lines.append(f"mount -t tmpfs -o mode=1777{size} none tmp")
    lines += [f"mount -t tmpfs -o mode=755{size} none work"]
    lines += ["pivot_root . old", "cd /work"]
    if "host files" in without:
        lines += ["mkdir /root /home", "mount --rbind /old/root /root", "mount --rbind /old/home /home"]
    lines += ["umount -l /old", "rmdir /old"]
    if "read-only system" not in without:
        lines.append("mount -o remount,bind,ro /")
    return "\n".join([*lines, 'exec "$@"'])


def missing_program(level: Level) -> str:
    """A program that the level needs and this machine lacks; empty if there is none."""
    needed = {"bwrap": ("bwrap", "bash"), "unshare": ("unshare", "setpriv", "pivot_root", "bash"), "plain": ("bash",)}
    search = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return next((name for name in needed[level] if shutil.which(name, path=search) is None), "")
