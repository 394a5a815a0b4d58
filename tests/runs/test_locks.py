"""One process at a time writes a run; the dead block nobody, the living are named."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from agentgym.errors import NotWritable, RunInUse
from agentgym.runs import locks
from agentgym.runs.locks import locked

HOLD = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started with it ignored
from agentgym.runs.locks import locked
with locked(Path(sys.argv[1]), "holding"):
    if len(sys.argv) > 2:
        if os.fork() == 0:
            time.sleep(10)  # a child of the holder lives on
            os._exit(0)
        time.sleep(1)  # time for it to begin
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    def start(*more):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path / "run"), *more], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    started = []
    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_living_are_named_and_leave_nothing_behind(holder, tmp_path):
    process = holder()
    with (
        pytest.raises(RunInUse, match=rf"in use: process {process.pid} on .* since 20.*\(holding\)"),
        locked(tmp_path / "run", "second"),
    ):
        pass
    assert (tmp_path / "run/running.json").is_file()  # the second has not taken the first's away
    process.send_signal(signal.SIGINT)
    process.wait()
    assert not (tmp_path / "run").exists()


def test_a_killed_process_holds_nothing_even_if_its_child_lives(holder, tmp_path):
    for more in ((), ("child",)):
        process = holder(*more)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with locked(tmp_path / "run", "next"):
            assert json.loads((tmp_path / "run/running.json").read_text())["pid"] == os.getpid()
        assert list((tmp_path / "run").iterdir()) == []


def test_two_threads_are_two(tmp_path):
    found = []

    def try_it():
        try:
            with locked(tmp_path / "run", "thread"):
                found.append("held")
        except RunInUse as error:
            found.append(str(error))

    with locked(tmp_path / "run", "main"):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
        assert f"process {os.getpid()}" in found[0]
        with locked(tmp_path / "other", "main"):
            pass


def elsewhere(folder, age):
    """What a process on another machine has left, whose locks the file system does not bring here."""
    folder.mkdir(exist_ok=True)
    file = folder / "running.json"
    file.write_text(json.dumps({"host": "node7", "machine": "other", "pid": 12, "since": "then", "command": "train"}))
    os.utime(file, (time.time() - age, time.time() - age))


def test_another_machine_is_believed_alive_for_a_minute(tmp_path):
    elsewhere(tmp_path / "run", 10)
    with pytest.raises(RunInUse, match=r"process 12 on node7.*try again in [45]\d s"), locked(tmp_path / "run", "here"):
        pass
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "running.json"]
    elsewhere(tmp_path / "run", 61)
    with locked(tmp_path / "run", "here"):
        pass


def test_the_holder_shows_that_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "TOUCHED_EVERY", 0.05)
    with locked(tmp_path / "run", "here"):
        file = tmp_path / "run/running.json"
        os.utime(file, (0, 0))
        deadline = time.monotonic() + 10
        while file.stat().st_mtime < 1e9:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_who_was_taken_for_dead_writes_no_more(tmp_path):
    with locked(tmp_path / "run", "asleep") as lock:
        lock.require()
        elsewhere(tmp_path / "run", 0)
        with pytest.raises(RunInUse, match=r"taken over .* process 12 on node7"):
            lock.require()
    assert (tmp_path / "run/running.json").is_file()  # it is the other's now


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": 1}'])
def test_what_is_illegible_blocks_nobody_for_good(tmp_path, text):
    (tmp_path / "running.json").write_text(text)
    os.utime(tmp_path / "running.json", (0, 0))
    with locked(tmp_path, "here"):
        pass


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotWritable, match="cannot be written"), locked(tmp_path / "file/run", "here"):
        pass
    with pytest.raises(NotWritable, match="cannot be written"), locked(tmp_path / "file", "here"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
