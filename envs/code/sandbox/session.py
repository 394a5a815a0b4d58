"""A sandbox in use: commands in, results out."""

import json
import os
import select
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self

from agentgym.envs.code.sandbox.cgroups import Group, make_group
from agentgym.envs.code.sandbox.launch import (
    LEVELS,
    WORK,
    Interpreter,
    Level,
    command_line,
    missing_program,
    settings_of,
)
from agentgym.envs.code.sandbox.limits import Limits
from agentgym.errors import AskError, InvalidParameter, UnknownId

__all__ = ["Result", "SandboxUnavailable", "Session", "level_of"]

GRACE = 5.0  # seconds that a sandbox may be silent beyond a command's wall limit
LARGEST_ANSWER = 128 << 20


class SandboxUnavailable(AskError, OSError):
    """This machine cannot isolate commands at the level that was asked for."""


@dataclass(frozen=True)
class Result:
    """The result of a command.

    Attributes:
        output: what it wrote to its standard output and error, in order, shortened to the limit.
        code: exit status of the shell; negative: the signal that ended it; None if it was stopped.
        ended: "exit"; "wall" or "output": the limit that stopped it; "lost": the sandbox itself ended (out of memory).
        seconds: wall time.
        cut: whether output was left out.
        left: processes that were still alive and were killed when the call came back.
        replaced: whether the shell's state is lost, and the next command starts in a fresh sandbox.
        level: the level of isolation it ran at.
    """

    output: str
    code: int | None
    ended: str
    seconds: float
    cut: bool
    left: int
    replaced: bool
    level: Level


class Session:
    """A sandbox whose working folder, current folder and exported variables last from one command to the next.

    Every command runs in a shell of its own without a terminal. The call comes back when this shell ends; what it has
    left in the background is killed. A command that does not end is stopped, its partial output kept; the next one
    starts where it had started. A sandbox that was lost as a whole is replaced by a fresh one with the files that
    :meth:`put` has written, and the result says so.

    Args:
        files: text files of the working folder, by relative path.
        limits: what commands may use.
        level: "bwrap", "unshare", "plain" (no isolation: processes and limits only), or "auto", the best of the first
            two that works here. "plain" is never chosen unless it is named.
        without: properties to leave out, for tests of the probe.
        python: an interpreter for the commands, with its packages; by default the one that runs this process, without.

    Raises:
        SandboxUnavailable: this machine cannot do it; the message says why.
    """

    def __init__(
        self,
        files: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        level: str = "auto",
        without: Set[str] = frozenset(),
        python: Interpreter | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.level: Level = level_of(level)
        self._without, self._python = without, python
        self._known: dict[str, str] = {}
        self._files: dict[str, str | None] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._group: Group | None = None
        self._own_work = ""
        self._start()
        if files:
            self._put(files, known=True)
            self._known = dict(files)

    @property
    def limited_by_group(self) -> Set[str]:
        """Which of "memory" and "processes" a control group limits."""
        return frozenset(self._group.limited) if self._group else frozenset()

    @property
    def pid(self) -> int:
        """The process that holds the sandbox."""
        assert self._process is not None
        return self._process.pid

    def run(self, command: str, wall: float | None = None) -> Result:
        """Run a command with bash.

        Args:
            command: any text without a zero byte.
            wall: seconds; by default the session's limit.

        Raises:
            InvalidParameter: the command has a zero byte.
        """
        if "\0" in command:
            raise InvalidParameter("A command cannot contain a zero byte.")
        wall = self.limits.wall if wall is None else wall
        if self._process is None:
            self._restart()
        began = time.monotonic()
        enforced = 0 if "wall" in self._without else wall
        try:
            self._send({"command": os.fsencode(command).decode("utf-8", "replace"), "wall": enforced})
            answer = self._receive(began + wall + GRACE)
        except _Lost:
            seconds = time.monotonic() - began
            self._end()
            text = "[the sandbox ended with this command and is replaced by a fresh one]"
            return Result(text, None, "lost", seconds, False, 0, True, self.level)
        return Result(
            answer["output"], answer["code"], answer["ended"], answer["seconds"], answer["cut"], answer["left"],
            False, self.level,
        )  # fmt: skip

    def put(self, files: Mapping[str, str | None]) -> None:
        """Write text files into the working folder; None deletes one. Links in the way are replaced, not followed.

        Raises:
            InvalidParameter: a path is absolute or leaves the folder.
            SandboxUnavailable: the files do not fit.
        """
        self._put(files, known=False)
        self._files.update(files)

    def _put(self, files: Mapping[str, str | None], known: bool) -> None:
        for name in files:
            parts = name.split("/")
            if not name or name.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in name:
                raise InvalidParameter(f"{name!r} is not a relative path inside of the working folder.")
        if self._process is None:
            self._restart()
        try:
            self._send({"put": dict(files), "known": known})
            problem = self._receive(time.monotonic() + 60).get("error", "")
        except _Lost:
            self._end()
            problem = "it ended"
        if problem:
            raise SandboxUnavailable(f"The sandbox of {self.limits.disk} MiB cannot take the files: {problem}")

    def get(self) -> tuple[dict[str, str], list[str]]:
        """The text files of the working folder, and the paths of what is none: links, devices, binaries, huge files."""
        answer = self._ask("all")
        return answer["files"], answer["odd"]

    def changes(self) -> tuple[dict[str, str | None], list[str]]:
        """As :meth:`get`, but only what differs from the files that the session was made with; None: it is missing."""
        answer = self._ask("changes")
        return {**answer["files"], **dict.fromkeys(answer["gone"])}, answer["odd"]

    def _ask(self, which: str) -> dict[str, Any]:
        if self._process is None:
            self._restart()
        try:
            self._send({"get": which})
            return self._receive(time.monotonic() + 60)
        except _Lost:
            self._end()
            return self._ask(which)

    def close(self) -> None:
        """End the sandbox and everything in it."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_process", None) is not None:
            self.close()

    # The process

    def _start(self) -> None:
        memory = None if "memory" in self._without else self.limits.memory
        self._group = make_group(memory, None if "processes" in self._without else self.limits.processes)
        work = WORK
        if self.level == "plain":
            work = self._own_work = tempfile.mkdtemp(prefix="agentgym-work-")
        # The caller's environment would stay readable in /proc/1/environ.
        clean = {"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}
        line = command_line(self.level, self.limits, work, self._without, self._python)
        enter = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 97; shift; done; shift; exec "$@"'
        folders = [str(folder) for folder in self._group.folders]
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", enter, "sh", *folders, "--", *line],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=dict(os.environ) if "clean environment" in self._without else clean, start_new_session=True,
        )  # fmt: skip
        settings = settings_of(self.limits, self.level, work, self._group.limited, self._without, self._python)
        try:
            self._send(settings)
            answer = self._receive(time.monotonic() + 30)
        except _Lost as lost:
            said = self._end()
            raise SandboxUnavailable(
                f"A sandbox of level {self.level} does not start on this machine: {said}"
            ) from lost
        self.hidden, self.first = bool(answer["hidden"]), bool(answer["first"])

    def _restart(self) -> None:
        self._start()
        if self._known:
            self._put(self._known, known=True)
        if self._files:
            self._put(self._files, known=False)

    def _end(self) -> str:
        """Kill the sandbox; returns the last line of what its launcher has written."""
        process, self._process = self._process, None
        said = ""
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            with suppress(BrokenPipeError):
                process.stdin.close()  # `inside` ends with its input
            if self.level == "plain":
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1)
            process.kill()
            process.wait()
            os.set_blocking(process.stderr.fileno(), False)
            said = ((process.stderr.read() or b"").decode("utf-8", "replace").strip().splitlines() or ["no message"])[
                -1
            ]
            process.stdout.close()
            process.stderr.close()
        if self._group is not None:
            self._group.close()
            self._group = None
        if self._own_work:
            shutil.rmtree(self._own_work, ignore_errors=True)
            self._own_work = ""
        return said

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        data = json.dumps(message).encode()
        try:
            self._process.stdin.write(struct.pack(">I", len(data)) + data)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise _Lost from error

    def _receive(self, deadline: float) -> dict[str, Any]:
        (length,) = struct.unpack(">I", self._read(4, deadline))
        if length > LARGEST_ANSWER:
            raise _Lost
        answer = json.loads(self._read(length, deadline))
        assert isinstance(answer, dict)
        return answer

    def _read(self, length: int, deadline: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe, data = self._process.stdout.fileno(), bytearray()
        while len(data) < length:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise _Lost
            part = os.read(pipe, min(1 << 20, length - len(data)))
            if not part:
                raise _Lost
            data += part
        return bytes(data)


class _Lost(Exception):
    """The sandbox has ended, or does not answer."""


def level_of(level: str) -> Level:
    """The level that "auto" means on this machine, or the level itself if it works.

    Raises:
        UnknownId: no such level.
        SandboxUnavailable: it does not work here; the message says why.
    """
    if level != "auto":
        if level not in LEVELS:
            raise UnknownId("level of the sandbox", str(level), ("auto", *LEVELS))
        chosen: Level = level
        if problem := _problem(chosen):
            raise SandboxUnavailable(problem)
        return chosen
    problems = []
    for candidate in LEVELS[:2]:
        problem = _problem(candidate)
        if not problem:
            return candidate
        problems.append(problem)
    raise SandboxUnavailable(
        "Commands cannot be isolated on this machine. "
        + " ".join(problems)
        + " Install bubblewrap (Debian: apt install bubblewrap) and allow user namespaces, or, for code that you "
        'trust, name level="plain", which isolates nothing.'
    )


@cache
def _problem(level: Level) -> str:
    """Why a level does not work here; empty if it does."""
    if missing := missing_program(level):
        return f"Level {level} needs the program {missing}, which is not installed."
    try:
        with _Trial(level) as trial:
            ended = trial.run("echo works", 20)
    except SandboxUnavailable as refusal:
        return str(refusal)
    return "" if ended.output == "works\n" else f"Level {level} starts, but runs no commands: {ended.output[-200:]}"


class _Trial(Session):
    """A session at a level that has not been found to work yet."""

    def __init__(self, level: Level) -> None:
        self.limits, self.level, self._without, self._python = Limits(), level, frozenset(), None
        self._known, self._files, self._process, self._group, self._own_work = {}, {}, None, None, ""
        self._start()
