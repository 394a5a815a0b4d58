"""Proof on this machine of what a sandbox promises: every property is tried, none assumed.

``python -m agentgym.envs.code.sandbox [LEVEL]`` prints the report.
"""

import os
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Set
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from agentgym.envs.code.sandbox.launch import Level
from agentgym.envs.code.sandbox.limits import Limits
from agentgym.envs.code.sandbox.session import Result, Session, level_of

__all__ = ["PROPERTIES", "Report", "probe"]

SMALL = Limits(wall=8.0, cpu=1, memory=128, processes=24, file_size=2, disk=8, output=2000)
QUICK = 0.4  # seconds, the wall limit that is tried

# Property: what holding it means.
PROPERTIES = {
    "network": "a server on this machine cannot be reached",
    "host files": "a file in a folder of this machine that is not part of the system cannot be read",
    "private /tmp": "a file in this machine's /tmp is not there",
    "read-only system": "no file can be made in /usr, /etc or the root",
    "clean environment": "a variable of the caller is nowhere to be found, not even in /proc/1/environ",
    "no terminal": "there is no controlling terminal",
    "privileges": "commands have no capabilities",
    "signals": "a process of this machine cannot be seen or ended",
    "memory": "twice the limit cannot be had",
    "processes": "more processes than the limit cannot be had",
    "cpu": "an endless loop ends at the limit of processor time",
    "file size": "a file does not grow beyond the limit",
    "disk": "files together do not grow beyond the limit",
    "output": "a flood of output is stopped, and little of it is kept",
    "wall": "a command that waits for ever is stopped at the wall limit",
    "kill": "a background process in a session of its own does not outlive its command",
    "verdict": "a command cannot reach the process that reports its result",
}


@dataclass(frozen=True)
class Report:
    """What a sandbox was seen to hold.

    Attributes:
        level: its level.
        held: whether each of :data:`PROPERTIES` held.
        by_group: which of "memory" and "processes" a control group limits, for the whole tree.
    """

    level: Level
    held: dict[str, bool]
    by_group: frozenset[str]

    @property
    def missing(self) -> list[str]:
        """The properties that did not hold."""
        return [name for name, held in self.held.items() if not held]

    def __str__(self) -> str:
        lines = [f"level {self.level}; limited for the whole tree: {', '.join(sorted(self.by_group)) or 'nothing'}"]
        return "\n".join(
            [*lines, *(f"{'yes' if ok else 'NO ':3}  {n}: {PROPERTIES[n]}" for n, ok in self.held.items())]
        )


def probe(level: str = "auto", without: Set[str] = frozenset(), only: Set[str] = frozenset(PROPERTIES)) -> Report:
    """Try every property on this machine, in a few seconds.

    Args:
        level: as of :class:`agentgym.envs.code.sandbox.session.Session`.
        without: properties to take away first: a probe that still finds them would prove nothing.
        only: the properties to try.

    Raises:
        SandboxUnavailable: the level does not work here.
    """
    with ExitStack() as stack:
        mark = uuid.uuid4().hex
        os.environ["AGENTGYM_PROBE"] = mark
        stack.callback(os.environ.pop, "AGENTGYM_PROBE", None)
        session = stack.enter_context(Session({}, SMALL, level_of(level), without))
        here = _Host(stack, mark)
        held = {name: _TRIES[name](session, here) for name in PROPERTIES if name in only}
        return Report(session.level, held, frozenset(session.limited_by_group))


class _Host:
    """What the probe lays out on this machine, for commands to reach for."""

    def __init__(self, stack: ExitStack, mark: str) -> None:
        self.mark = mark
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = server.getsockname()[1]
        folder = Path.home()
        self.secret = folder / f".agentgym-probe-{mark}"
        self.secret.write_text(mark[::-1])  # the path, with the mark, is in error messages
        stack.callback(self.secret.unlink)
        descriptor, name = tempfile.mkstemp(prefix="agentgym-probe-", dir="/tmp")
        os.close(descriptor)
        self.temporary = Path(name)
        stack.callback(self.temporary.unlink)
        self.victim = subprocess.Popen(["sleep", "600"])
        stack.callback(self._end_victim)

    def _end_victim(self) -> None:
        self.victim.kill()
        self.victim.wait()


def _python(session: Session, program: str, wall: float | None = None) -> Result:
    quoted = program.replace("'", "'\\''")
    return session.run(f"python3 -I -S -c '{quoted}'", wall)


def _network(session: Session, host: _Host) -> bool:
    program = f"import socket\ntry: socket.create_connection(('127.0.0.1', {host.port}), 2); print('reached')\n"
    return "reached" not in _python(session, program + "except OSError: print('cut')").output


def _host_files(session: Session, host: _Host) -> bool:
    return host.mark[::-1] not in session.run(f"cat {host.secret} /proc/1/root{host.secret}").output


def _private_tmp(session: Session, host: _Host) -> bool:
    return session.run(f"test -e {host.temporary} && echo there").output != "there\n"


def _read_only(session: Session, host: _Host) -> bool:
    names = " ".join(f"{folder}/agentgym-{host.mark}" for folder in ("/usr", "/etc", "", "/proc/sys/kernel"))
    made = f"for f in {names}; do ( : > $f ) 2>/dev/null && echo made && rm -f $f; done"
    writable = "test -w /proc/sys/kernel/core_pattern && echo writable; test -w /usr/lib && echo writable"
    return session.run(f"{made}; {writable}").output == ""


def _environment(session: Session, host: _Host) -> bool:
    # The own value is a part of no command line here, so that only a leak can show it.
    half = host.mark[:16]
    return half not in session.run("env; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'").output


def _no_terminal(session: Session, host: _Host) -> bool:
    return session.run("( : < /dev/tty ) 2>/dev/null && echo terminal; test -t 0 && echo terminal").output == ""


def _privileges(session: Session, host: _Host) -> bool:
    return "CapEff:\t0000000000000000" in session.run("cat /proc/self/status").output


def _signals(session: Session, host: _Host) -> bool:
    session.run(f"kill -9 {host.victim.pid}")
    return host.victim.poll() is None


def _memory(session: Session, host: _Host) -> bool:
    result = _python(session, f"b = bytearray({2 * SMALL.memory} << 20)\nb[::4096] = b[::4096]\nprint('had')")
    return result.output != "had\n"


def _processes(session: Session, host: _Host) -> bool:
    program = f"""
import os, time
n = 0
try:
    for _ in range({SMALL.processes + 8}):
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        n += 1
except OSError:
    pass
print("forked", n)
"""
    said = _python(session, program).output.split()
    return len(said) == 2 and int(said[1]) < SMALL.processes + 8


def _cpu(session: Session, host: _Host) -> bool:
    # It counts its own processor time: a loaded machine takes much longer by the clock.
    result = _python(session, f"import time\nwhile time.process_time() < {SMALL.cpu * 6}: pass", SMALL.cpu * 120)
    return result.ended == "exit" and (result.code or 0) > 128  # by a signal


def _file_size(session: Session, host: _Host) -> bool:
    command = f"head -c {SMALL.file_size * 2 << 20} /dev/zero > big 2>/dev/null; stat -c %s big; rm -f big"
    return int(session.run(command).output.split()[-1]) <= SMALL.file_size << 20


def _disk(session: Session, host: _Host) -> bool:
    count = 2 * SMALL.disk
    command = f"for i in $(seq {count}); do head -c 1048576 /dev/zero > f$i || break; done 2>/dev/null"
    said = session.run(f"{command}; du -sm . | cut -f1; rm -f f*").output.split()
    return bool(said) and int(said[-1]) <= SMALL.disk + 1


def _output(session: Session, host: _Host) -> bool:
    result = session.run("yes | head -c 4000000")
    return result.ended == "output" and len(result.output) < 2 * SMALL.output


def _wall(session: Session, host: _Host) -> bool:
    result = session.run("sleep 3", QUICK)
    return result.ended == "wall" and result.seconds < 2.5


def _kill(session: Session, host: _Host) -> bool:
    # A duration that no other process has names the survivor; it is looked for from outside.
    naps = f"9{int(host.mark[:6], 16)}"
    session.run(f"setsid sleep {naps} > /dev/null 2>&1 & (setsid nohup sleep {naps} &) ; echo started")
    return not any(_command(pid) == f"sleep {naps}" for pid in filter(str.isdigit, os.listdir("/proc")))


def _command(pid: str) -> str:
    try:
        return Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _verdict(session: Session, host: _Host) -> bool:
    look = (
        "ls -l /proc/$PPID/fd/0 >/dev/null 2>&1 && echo seen; (echo x > /proc/$PPID/fd/1) 2>/dev/null && echo written"
    )
    return session.hidden and session.run(look).output == ""


_TRIES: dict[str, Callable[[Session, _Host], bool]] = {
    "network": _network, "host files": _host_files, "private /tmp": _private_tmp, "read-only system": _read_only,
    "clean environment": _environment, "no terminal": _no_terminal, "privileges": _privileges, "signals": _signals,
    "memory": _memory, "processes": _processes, "cpu": _cpu, "file size": _file_size, "disk": _disk,
    "output": _output, "wall": _wall, "kill": _kill, "verdict": _verdict,
}  # fmt: skip
