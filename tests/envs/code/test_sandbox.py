# ruff: noqa: E501
"""The sandbox holds against fifty attempts, says what it lacks, and ties every output to its command."""

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

import agentgym
from agentgym.envs.code.sandbox import PROPERTIES, Limits, Report, SandboxUnavailable, Session, cgroups, probe
from agentgym.envs.code.sandbox import session as sessions
from agentgym.errors import InvalidParameter, UnknownId

PY = "python3 -I -S -c"
# Name: (command, a text that would show success). All are harmless to the sandbox itself, which must serve the next.
ATTEMPTS = {
    # Network
    "tcp to this machine": (f'{PY} "import socket; socket.create_connection((\'127.0.0.1\', PORT), 1); print(7*191)"', "1337"),
    "udp to a name server": (f"{PY} \"import socket; s=socket.socket(2,2); s.sendto(b'x',('1.1.1.1',53)); print(7*191)\"", "1337"),
    "bash's own tcp": ("(echo > /dev/tcp/1.1.1.1/53) 2>/dev/null && echo $((7*191))", "1337"),
    "another interface": ("ls /sys/class/net 2>/dev/null | grep -v lo; grep -c : /proc/net/dev", "2"),
    "abstract socket of this machine": (f"{PY} \"import socket; s=socket.socket(1,1); s.connect('\\0ABSTRACT'); print(7*191)\"", "1337"),
    "raw packets": (f'{PY} "import socket; socket.socket(2,3,1); print(7*191)"', "1337"),
    # Files of this machine
    "passwords": ("cat /etc/shadow", "root:"),
    "home": ("ls -A /root /home; cat HOME/.agentgym-test-secret", "SECRET"),
    "root of process 1": ("cat /proc/1/root/HOME/.agentgym-test-secret; ls /proc/1/root/etc/shadow && echo $((7*191))", "1337"),
    "up from the working folder": ("cat ../../../../../../HOME/.agentgym-test-secret", "SECRET"),
    "symbolic link to a secret": ("ln -sf HOME/.agentgym-test-secret l; cat l; rm -f l", "SECRET"),
    "hard link to a system file": ("ln /usr/bin/env hard && echo $((7*191)); rm -f hard", "1337"),
    "this package": ("ls -d /*/*/agentgym PACKAGE 2>/dev/null", "agentgym"),
    "installed packages": ("ls /usr/lib/python3/dist-packages /usr/local/lib/python3*/*-packages /python/lib/python3*/site-packages 2>/dev/null | grep -v :", "a"),
    "block devices": ("ls /dev | grep -E '^(vd|sd|nvme|loop|mem|kmsg)'", "v"),
    "make a device": ("mknod d b 254 0 && echo $((7*191))", "1337"),
    "kernel memory": ("head -c 1 /proc/kcore && echo $((7*191))", "1337"),
    "temporary folder of this machine": ("ls -A /tmp", "agentgym-test"),
    "working folder of this process": ("cat /proc/*/cwd/pyproject.toml 2>/dev/null", "[project]"),
    # Writing to the system
    "write to /usr": ("touch /usr/bin/own && echo $((7*191))", "1337"),
    "write to /etc": ("echo own > /etc/hosts && echo $((7*191))", "1337"),
    "write to the root": ("mkdir /own && echo $((7*191))", "1337"),
    "write to /dev": ("echo x > /dev/own && echo $((7*191))", "1337"),
    "system request": ("(echo h > /proc/sysrq-trigger) 2>/dev/null && echo $((7*191))", "1337"),
    "kernel setting": ("(echo '|/work/own' > /proc/sys/kernel/core_pattern) 2>/dev/null && echo $((7*191))", "1337"),
    "remount": ("mount -o remount,rw /usr && echo $((7*191))", "1337"),
    "mount": ("mount -t tmpfs own /usr && echo $((7*191))", "1337"),
    "unmount": ("umount -l /usr && echo $((7*191))", "1337"),
    "chroot": ("chroot /proc/1/root /bin/true && echo $((7*191))", "1337"),
    "control groups": ("mount -t cgroup2 none /tmp && echo $((7*191)); ls /sys/fs/cgroup/* && echo $((7*191))", "1337"),
    # Privileges
    "become root": ("su -c id; sudo -n id; setpriv --reuid 0 id", "uid=0(root)"),
    "enter process 1's namespaces": ("nsenter -t 1 -m -p true && echo $((7*191))", "1337"),
    "host name": ("hostname own && echo $((7*191))", "1337"),
    "clock": ("date -s '2001-01-01' >/dev/null && echo $((7*191))", "1337"),
    "raise a limit": ("ulimit -f unlimited && echo $((7*191))", "1337"),
    "trace process 1": (f'{PY} "import ctypes; print(7*191 if ctypes.CDLL(None).ptrace(16,1,0,0)==0 else 0)"', "1337"),
    "memory of process 1": ("(head -c 1 /proc/1/mem || : > /proc/1/mem) 2>/dev/null && echo $((7*191))", "1337"),
    "forge a result": ("(printf '\\0\\0\\0\\2{}' > /proc/1/fd/1) 2>/dev/null && echo $((7*191))", "1337"),
    # Secrets and signals
    "environment": ("env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; set", "s3cr3t-value"),
    "kill process 1": ("kill -9 1; kill -STOP 1; kill -TERM 1", "never"),
    "kill a process of this machine": ("kill -9 VICTIM && echo $((7*191))", "1337"),
    "kill everything": ("kill -9 -1", "never"),
    "see processes of this machine": ("cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '", "pytest"),
    # Exhaustion
    "fork bomb": ("b() { b | b & }; b 2>/dev/null; sleep 0.2; echo", "never"),
    "memory": (f'{PY} "b=bytearray(400<<20); print(7*191)"', "1337"),
    "memory in /dev/shm": ("head -c 300000000 /dev/zero > /dev/shm/own && echo $((7*191)); rm -f /dev/shm/own", "1337"),
    "one huge file": ("head -c 9000000 /dev/zero > own && echo $((7*191)); rm -f own", "1337"),
    "many files": ("for i in $(seq 20); do head -c 1000000 /dev/zero > f$i || x=1; done 2>/dev/null; [ -n \"$x\" ] || echo $((7*191)); rm -f f*", "1337"),
    "many open files": (f"{PY} \"x=[open('/dev/null') for _ in range(999)]; print(7*191)\"", "1337"),
    "survivor": ("setsid nohup sleep 98765431 >/dev/null 2>&1 & disown -a; echo", "never"),
    "flood": ("yes $(seq 50)", "never"),
}  # fmt: skip
STOPPED = {"flood": "output"}  # all others end by themselves


@pytest.fixture(scope="module")
def lures(level):
    secret = Path.home() / ".agentgym-test-secret"
    secret.write_text("SECRET")
    os.environ["AGENTGYM_TEST"] = "s3cr3t-value"
    victim = subprocess.Popen(["sleep", "600"])
    yield {"HOME": str(Path.home()), "VICTIM": str(victim.pid), "PACKAGE": str(Path(sessions.__file__).parents[4])}
    assert victim.poll() is None
    victim.kill()
    victim.wait()
    secret.unlink()
    del os.environ["AGENTGYM_TEST"]


@pytest.fixture(scope="module")
def server():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0agentgym-test")
        abstract.listen()
        yield {"PORT": str(tcp.getsockname()[1]), "ABSTRACT": "agentgym-test"}


def test_there_are_fifty_attempts():
    assert len(ATTEMPTS) >= 50


@pytest.mark.parametrize("name", ATTEMPTS)
def test_attempt_is_contained(sandbox, lures, server, name):
    if name == "fork bomb" and "processes" in unlimited(sandbox):
        pytest.skip("root's processes cannot be limited on this machine, whose control groups cannot be written")
    command, success = ATTEMPTS[name]
    for word, value in (lures | server).items():
        command = command.replace(word, value)
    before = set(filter(str.isdigit, os.listdir("/proc")))
    result = sandbox.run(command)
    assert success not in result.output.replace(command, ""), result
    assert result.ended == STOPPED.get(name, "exit"), result
    assert result.seconds < 6
    after = sandbox.run("echo still here")
    assert (after.output, after.left) == ("still here\n", 0)
    alive = set(filter(str.isdigit, os.listdir("/proc"))) - before
    assert not any("98765431" in _command_line(pid) for pid in alive)


def unlimited(made):
    """What cannot be had here: the kernel exempts root from its limit of processes, so that it takes a control group."""
    by_group = made.by_group if isinstance(made, Report) else made.limited_by_group
    return {"processes"} if os.geteuid() == 0 and "processes" not in by_group else set()


def _command_line(pid):
    try:
        return Path("/proc", pid, "cmdline").read_text()
    except OSError:
        return ""


def test_everything_holds_on_this_machine(level):
    report = probe(level)
    assert set(report.held) == set(PROPERTIES)
    assert set(report.missing) <= unlimited(report), str(report)


TAKEN = sorted(
    {"network", "host files", "private /tmp", "read-only system", "clean environment", "privileges"}
    | {"memory", "processes", "cpu", "file size", "disk", "output", "wall", "kill"}
)


# Without its limit of processor time the loop runs until the wall limit.
@pytest.mark.parametrize("taken", [pytest.param(t, marks=pytest.mark.slow) if t == "cpu" else t for t in TAKEN])
def test_the_probe_notices_what_is_taken_away(taken, level):
    report = probe(level, {taken}, {taken})
    assert report.missing == [taken]


def test_without_isolation_the_probe_says_so():
    if sessions.missing_program("plain"):
        pytest.skip("there is no bash")
    isolated = {"network", "host files", "private /tmp", "signals"}
    report = probe("plain", only=isolated | {"kill", "wall", "output"})
    assert set(report.missing) == isolated
    assert report.level == "plain"


def test_state_lasts_from_command_to_command(sandbox):
    sandbox.run("mkdir -p a/b; cd a/b; export WHO=me; unexported=1")
    assert sandbox.run("pwd; echo $WHO$unexported").output == "/work/a/b\nme\n"
    assert sandbox.run("exit 3").code == 3
    assert sandbox.run("cd /work; rm -r a; exec true").code == 0


def test_a_stuck_command_is_stopped_and_its_output_kept(sandbox):
    result = sandbox.run("echo first; cat; echo second; sleep 60", wall=0.3)
    assert (result.output, result.ended, result.code) == ("first\nsecond\n", "wall", None)
    assert sandbox.run("echo next").output == "next\n"


def test_a_background_child_on_the_pipe_does_not_block(sandbox):
    began = time.monotonic()
    result = sandbox.run("sleep 50 & echo out")
    assert result.output == "out\n"
    assert result.left == 1
    assert time.monotonic() - began < 3


def test_long_output_keeps_both_ends(sandbox):
    result = sandbox.run("seq 3000")
    assert result.cut
    assert result.output.startswith("1\n2\n")
    assert result.output.endswith("2999\n3000\n")
    assert len(result.output) < 2100


def test_a_pager_and_a_prompt_do_not_capture_the_session(sandbox):
    result = sandbox.run("seq 100 | ${PAGER:-less} | tail -1; read -p name: x < /dev/tty; echo done")
    assert result.output.splitlines()[0] == "100"
    assert result.output.endswith("done\n")


def test_noise_cannot_be_taken_for_an_end(sandbox):
    result = sandbox.run('printf "\\0\\0\\0\\2{}"; echo \'{"ended": "exit", "code": 0}\'; exit 5')
    assert (result.code, result.ended) == (5, "exit")


def test_files_go_in_and_come_out(sandbox):
    sandbox.put({"a/x.py": "x = 1\n", "b.txt": "é\r\n"})
    sandbox.run("ln -s /etc/passwd link; printf '\\377' > binary; mkfifo pipe; ln -s /usr/lib folder")
    files, odd = sandbox.get()
    assert files == {"a/x.py": "x = 1\n", "b.txt": "é\r\n"}
    assert sorted(odd) == ["binary", "folder", "link", "pipe"]
    sandbox.run("rm -rf a; ln -s /tmp a")
    sandbox.put({"a/x.py": "x = 2\n"})
    assert sandbox.run("cat /work/a/x.py; test -L a || echo no link; ls /tmp").output == "x = 2\nno link\n"
    sandbox.run("rm -rf * ")


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", "a//b", "./x"])
def test_paths_stay_in_the_folder(sandbox, path):
    with pytest.raises(InvalidParameter, match="relative path"):
        sandbox.put({path: ""})


def test_files_that_do_not_fit_are_refused(level):
    with Session({}, Limits(disk=1), level) as session:
        with pytest.raises(SandboxUnavailable, match=r"1 MiB.*No space left"):
            session.put({"big": "x" * (2 << 20)})
        assert session.run("echo works").output == "works\n"


def test_a_lost_sandbox_is_replaced_and_told(level):
    with Session({"a": "kept\n"}, Limits(wall=2, memory=128), level) as session:
        session._process.kill()
        result = session.run("echo lost")
        assert (result.ended, result.replaced, result.code) == ("lost", True, None)
        assert session.run("cat a").output == "kept\n"


def test_bad_requests_are_refused(sandbox):
    with pytest.raises(UnknownId, match="bwrap"):
        Session(level="docker")
    with pytest.raises(InvalidParameter, match="wall"):
        Limits(wall=0)
    with pytest.raises(InvalidParameter, match="processes"):
        Limits(processes=1)
    with pytest.raises(InvalidParameter, match="zero byte"):
        sandbox.run("echo \0")


def test_a_machine_without_isolation_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(sessions, "missing_program", lambda level: "bwrap" if level == "bwrap" else "unshare")
    sessions._problem.cache_clear()
    with pytest.raises(SandboxUnavailable, match=r"apt install bubblewrap.*plain"):
        Session()
    monkeypatch.undo()
    sessions._problem.cache_clear()


@pytest.mark.skipif(not shutil.which("unshare"), reason="there is no unshare")
def test_without_bubblewrap_unshare_holds_the_same():
    try:
        report = probe("unshare")
    except SandboxUnavailable as refusal:
        pytest.skip(str(refusal))
    assert set(report.missing) <= unlimited(report), str(report)


# Without root, and with the other version of control groups


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run without root already")
@pytest.mark.parametrize("other", ["bwrap", "unshare"])
def test_every_property_holds_without_root(other, tmp_path):
    here = Path(agentgym.__file__).parents[1]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{here}:{sysconfig.get_paths()['purelib']}",
    }  # fmt: skip
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to("/tmp/pytest-of-root"):
            folder.chmod(0o755)
    os.chown(tmp_path, 65534, 65534)

    def as_nobody(*words):
        return subprocess.run(
            words, user=65534, group=65534, extra_groups=[], env=environment, cwd=tmp_path, capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip

    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        with contextlib.suppress(OSError):
            if as_nobody(python, "-c", "import agentgym.envs.code.sandbox").returncode == 0:
                break
    else:
        pytest.skip("nobody cannot run an interpreter with this package here")
    if sessions.missing_program(other) or as_nobody("unshare", "--user", "--map-root-user", "true").returncode:
        pytest.skip("a program is missing, or there are no user namespaces without root")
    done = as_nobody(python, "-m", "agentgym.envs.code.sandbox", other)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nyes  ") == len(PROPERTIES)
    assert f"level {other}" in done.stdout


def test_groups_of_version_2_are_made_where_processes_are_not(tmp_path, monkeypatch):
    """The rule of version 2: a group with processes of its own cannot hand controllers on, so a group above it does."""
    own = tmp_path / "user.slice" / "session.scope"
    own.mkdir(parents=True)
    for folder, switch in ((tmp_path, "memory pids"), (tmp_path / "user.slice", "pids")):
        (folder / "cgroup.controllers").write_text("memory pids")
        (folder / "cgroup.subtree_control").write_text(switch)
    (own / "cgroup.subtree_control").mkdir()  # cannot be written, as with processes in the group
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "_own", lambda controller: "/user.slice/session.scope")
    group = cgroups.make_group(64, 20)
    (folder,) = group.folders
    assert folder.parent == tmp_path / "user.slice"
    assert (folder.parent / "cgroup.subtree_control").read_text() == "+memory"
    assert (folder / "memory.max").read_text() == str(64 << 20)
    assert (folder / "pids.max").read_text() == "20"
    assert group.limited == {"memory", "processes"}
    for name in ("cgroup.subtree_control",):
        for above in (tmp_path, tmp_path / "user.slice"):
            (above / name).unlink()
            (above / name).mkdir()
    assert cgroups.make_group(64, 20).limited == set()
