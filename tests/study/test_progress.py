"""What a running study shows: a live table on a terminal, lines elsewhere."""

import os
import re
import struct
from contextlib import contextmanager

import pytest

from agentgym.parallel import Outcome
from agentgym.study.file import load_study
from agentgym.study.judging import Made
from agentgym.study.progress import Progress
from agentgym.study.rows import stamp
from agentgym.study.runner import open_results, run_study

HANDS = """
seeds = [0]
[agents.left]
controller = "random"
[agents.right]
controller = "random"
[envs.errands]
env = "agentgym/Household-v0"
env_kwargs = { size = "tiny" }
[protocol]
episodes = 2
"""


@contextmanager
def terminal(monkeypatch):
    """A pseudo-terminal in the place of standard error; gives a function that reads what it was sent, as plain text."""
    pty, fcntl, termios = (pytest.importorskip(name, reason="POSIX only") for name in ("pty", "fcntl", "termios"))
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def sent():
        text = b""
        while True:
            try:
                text += os.read(master, 1 << 16)
            except BlockingIOError:
                return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode()).replace("\r", "")

    with os.fdopen(slave, "w") as screen, monkeypatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setattr("sys.stderr", screen)
        yield sent
    os.close(master)


def done(results, cell, score, seconds=60.0):
    row = {"case": "", "return": score, "steps": cell.steps, "seconds": seconds, **stamp(), "plan": cell.plan()}
    results.rows.replace(cell, [row], results.cells)


def test_the_live_table(small_file, tmp_path, monkeypatch):
    results = open_results(load_study(small_file), tmp_path)
    first, running, bad, last = results.cells
    done(results, first, -100.0)
    running.folder.mkdir(parents=True)
    (running.folder / "running.json").write_text("{}")
    (running.folder / "metrics.csv").write_text("step,loss\n32,1.0\n96,0.5\n")
    waiting = [running, bad, last]
    with terminal(monkeypatch) as sent, Progress(results, results.cells, waiting, 1, True) as shown:
        before = sent()
        assert "small: 4 runs, 1 there already" in before
        lines = [line.split() for line in before.splitlines()]
        assert ["all", "ppo", "Pendulum-v1", "1/2", "-100"] in lines
        assert ["MDPO", "Pendulum-v1", "0/2", "75%"] in lines
        # 32 + 128 + 128 steps at 60 s for 128
        assert re.search(r"0 of 3 done in 0 s, about 2\.2 min left", before)
        (running.folder / "running.json").unlink()
        done(results, running, -150.0)
        shown.finished(running, Outcome(1, Made([])))
        results.rows.replace(bad, [{"case": "", "error": "ValueError: no", "plan": bad.plan()}], results.cells)
        shown.finished(bad, Outcome(2, None, "ValueError: no"))
        shown.live.refresh()
        after = sent()
    lines = [line.split() for line in after.splitlines()]
    assert ["all", "ppo", "Pendulum-v1", "1/2", "1", "-100"] in lines  # one failed
    assert ["MDPO", "Pendulum-v1", "1/2", "-150"] in lines
    assert "2 of 3 done in 0 s, about 60 s left" in after
    assert "no" not in after.split()  # errors are told at the end, not between the table's lines


def test_a_study_on_a_terminal_ends_with_its_table(study_file, tmp_path, monkeypatch):
    with terminal(monkeypatch) as sent:
        results = run_study(load_study(study_file(HANDS)), tmp_path)
        said = sent()
    score = f"{float(results.rows.rows[0]['return']):.4g}"
    lines = [line.split() for line in said.split("question")[-1].splitlines()]
    assert ["all", "left", "errands", "1/1", score] in lines
    assert ["right", "errands", "1/1", score] in lines
    assert "2 of 2 done in" in said


def test_without_a_terminal_every_run_is_a_line(small_file, tmp_path, capsys):
    results = open_results(load_study(small_file), tmp_path)
    with Progress(results, results.cells, results.cells, 2, True) as shown:
        for number, cell in enumerate(results.cells[:2]):
            done(results, cell, -100.0 - number)
            shown.finished(cell, Outcome(number, Made([])))
        shown.finished(results.cells[2], Outcome(2, None, "ValueError: no"))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "small: 4 runs, 0 there already",
        "1/4 ppo Pendulum-v1 seed 0: return -100 in 60 s; about 90 s left",
        "2/4 mdpo-onpolicy Pendulum-v1 seed 0: return -101 in 60 s; about 60 s left",
        "3/4 ppo Pendulum-v1 seed 1: failed: ValueError: no; about 60 s left",
    ]
