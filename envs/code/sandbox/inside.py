"""The process that runs commands inside of a sandbox. Its source goes to ``python -I -S -c``: standard library only.

It reads requests from its standard input and answers on its standard output, each a length and JSON. No command can
write an answer: commands get neither of the two pipes, and may not look into this process, which is not dumpable. In a
PID namespace it is process 1, which commands cannot kill, and ends all that a command has left behind.
"""

import ctypes
import json
import os
import resource
import select
import signal
import stat
import struct
import sys
import time
from contextlib import suppress
from typing import Any

PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
MOST_FILES, MOST_BYTES = 2000, 32 << 20
# The state that the next command starts from is written when the shell ends.
SHELL = "trap 's=$?; { pwd; env -0; } >&3 2>/dev/null; exit $s' EXIT; eval \"$1\""


def receive() -> dict[str, Any]:
    """The next request; the process ends with its input."""
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        sys.exit(0)
    request: dict[str, Any] = json.loads(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))
    return request


def send(answer: dict[str, Any]) -> None:
    """Answer a request."""
    data = json.dumps(answer).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(data)) + data)
    sys.stdout.buffer.flush()


def limit(limits: dict[str, Any]) -> None:
    """Resource limits of the calling process, which is about to become the shell."""
    mib = 1 << 20
    wanted = {
        "RLIMIT_CORE": 0, "RLIMIT_NOFILE": 256, "RLIMIT_CPU": limits.get("cpu"),
        "RLIMIT_FSIZE": limits.get("file_size") and limits["file_size"] * mib,
        "RLIMIT_AS": limits.get("memory") and limits["memory"] * mib, "RLIMIT_NPROC": limits.get("processes"),
    }  # fmt: skip
    for name, value in wanted.items():
        if value is not None:
            resource.setrlimit(getattr(resource, name), (value, value))


def descendants() -> list[int]:
    """All processes below this one, from /proc: for machines without a PID namespace."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    seen = [os.getpid()]
    while seen:
        mine = children.get(seen.pop(), [])
        found += mine
        seen += mine
    return found


def end_all() -> int:
    """Kill everything that is left of a command; returns how many processes were alive."""
    count = 0
    for _ in range(100):
        alive = descendants()
        count = max(count, len(alive))
        if alive and os.getpid() == 1:
            os.kill(-1, signal.SIGKILL)
        for pid in alive if os.getpid() != 1 else []:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reap(-1)
        if not alive:
            break
        time.sleep(0.002)
    return count


def reap(shell: int) -> int | None:
    """Collect ended processes; returns the exit status of the shell if it is among them."""
    status = None
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if not pid:
            return status
        if pid == shell:
            status = os.waitstatus_to_exitcode(code)


class Kept:
    """The first and last bytes of an output."""

    def __init__(self, most: int) -> None:
        self.half, self.first, self.last, self.total = most // 2, b"", b"", 0

    def take(self, data: bytes) -> None:
        """Add the next bytes."""
        self.total += len(data)
        room = self.half - len(self.first)
        self.first += data[:room]
        self.last = (self.last + data[room:] if room > 0 else self.last + data)[-self.half :]

    def text(self) -> tuple[str, bool]:
        """What was kept, and whether something was left out."""
        dropped = self.total - len(self.first) - len(self.last)
        middle = f"\n[... {dropped} bytes left out ...]\n".encode() if dropped else b""
        return (self.first + middle + self.last).decode("utf-8", "replace"), dropped > 0


def start(command: str, place: dict[str, Any], limits: dict[str, Any], output: int, state: int) -> int:
    """Fork the shell. Output goes to one pipe, the state for the next command to another, as descriptor 3."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2), (state, 3)):
            os.dup2(source, target)
        os.closerange(4, 4096)
        try:
            os.chdir(place["folder"])
        except OSError:
            os.chdir(place["home"])
        limit(limits)
        os.execve("/bin/bash", ["bash", "--noprofile", "--norc", "-c", SHELL, "bash", command], place["environment"])
    finally:
        os._exit(126)


def run(request: dict[str, Any], place: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Run one command; the answer comes when its shell ends, whatever it left in the background."""
    out, output = os.pipe()
    after, state = os.pipe()
    for pipe in (out, after):
        os.set_blocking(pipe, False)
    began = time.monotonic()
    shell = start(request["command"], place, settings["limits"], output, state)
    os.close(output)
    os.close(state)
    kept, told, status, ended = Kept(settings["output"]), b"", None, "exit"
    deadline = began + request["wall"] if request["wall"] else None
    while status is None:
        left = 3600.0 if deadline is None else deadline - time.monotonic()
        if left <= 0:
            ended = "wall"
            break
        # Short waits at first: most commands end at once.
        ready, _, _ = select.select([out, after], [], [], min(left, 0.002 if time.monotonic() - began < 0.05 else 0.02))
        status = reap(shell)
        if out in ready:
            kept.take(read(out, 1 << 16))
        if after in ready:
            told += read(after, 1 << 16)
        if settings["flood"] and kept.total > settings["flood"]:
            ended = "output"
            break
        if not ready and status is None:
            continue
    # What the shell has written is in the pipe by now; what its background children write later is not waited for.
    for _ in range(64):
        data = read(out, 1 << 16)
        kept.take(data)
        if not data:
            break
    for _ in range(16):
        told += read(after, 1 << 16)
    left = end_all() if settings["kill"] else 0
    os.close(out)
    os.close(after)
    if status is not None and len(told) < 1 << 17:
        remember(told, place)
    text, cut = kept.text()
    return {
        "output": text, "code": status, "ended": ended, "cut": cut, "left": left,
        "seconds": time.monotonic() - began,
    }  # fmt: skip


def read(pipe: int, most: int) -> bytes:
    """What is in a pipe now."""
    try:
        return os.read(pipe, most)
    except BlockingIOError:
        return b""


def remember(told: bytes, place: dict[str, Any]) -> None:
    """Folder and exported variables of the shell that has just ended."""
    folder, _, rest = told.partition(b"\n")
    pairs = [pair.partition(b"=") for pair in rest.split(b"\0") if b"=" in pair]
    if folder.startswith(b"/") and pairs:
        place["folder"] = os.fsdecode(folder)
        place["environment"] = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def put(files: dict[str, str | None], root: str) -> dict[str, Any]:
    """Write files below the working folder; a text of None deletes. Links on the way are removed, not followed.

    Bytes that are no UTF-8 travel as surrogates, as file names do in Python.
    """
    for name, text in files.items():
        parts = name.split("/")
        folder = root
        for part in parts[:-1]:
            folder = os.path.join(folder, part)
            if os.path.islink(folder) or (os.path.lexists(folder) and not os.path.isdir(folder)):
                os.unlink(folder)
            if not os.path.isdir(folder):
                os.mkdir(folder)
        path = os.path.join(folder, parts[-1])
        if os.path.islink(path) or os.path.isfile(path):
            os.unlink(path)
        if text is not None:
            with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(text)
    return {}


def get(root: str, known: dict[str, int]) -> dict[str, Any]:
    """The regular text files below the working folder, and what else lies there: links, devices, binaries, too much.

    Files whose hash is known are left out; "gone" are those known files that are missing.
    """
    found: dict[str, str] = {}
    odd: list[str] = []
    seen: set[str] = set()
    total = 0
    for folder, folders, names in os.walk(root, followlinks=False):
        odd += [
            os.path.relpath(os.path.join(folder, d), root) for d in folders if os.path.islink(os.path.join(folder, d))
        ]
        folders[:] = sorted(d for d in folders if d != "__pycache__" and not os.path.islink(os.path.join(folder, d)))
        for name in sorted(names):
            path = os.path.join(folder, name)
            short, about = os.path.relpath(path, root), os.lstat(path)
            seen.add(short)
            text = None
            if stat.S_ISREG(about.st_mode) and (short in known or total + about.st_size <= MOST_BYTES):
                with suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
                    text = file.read()
            if text is not None and known.get(short) == hash(text):
                continue
            total += about.st_size
            if text is None or not plain(text) or len(found) >= MOST_FILES or total > MOST_BYTES:
                odd.append(short)
            else:
                found[short] = text
    return {"files": found, "odd": odd[:100], "gone": sorted(set(known) - seen)}


def plain(text: str) -> bool:
    """Whether a file's bytes were UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def main(settings: dict[str, Any]) -> None:
    """Serve requests until the input ends."""
    libc = ctypes.CDLL(None)
    hidden = libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
    if os.getpid() != 1:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    known: dict[str, int] = {}
    place = {"folder": settings["work"], "home": settings["work"], "environment": settings["environment"]}
    send({"ready": True, "hidden": hidden, "first": os.getpid() == 1})
    while True:
        request = receive()
        if "command" in request:
            send(run(request, place, settings))
        elif "put" in request:
            try:
                send(put(request["put"], settings["work"]))
                known.update({name: hash(text) for name, text in request["put"].items() if request["known"]})
            except OSError as error:
                send({"error": str(error)})
        else:
            send(get(settings["work"], known if request["get"] == "changes" else {}))
