"""The command ``agentgym solve`` with a server on this machine: tasks, controls, costs, and a killed process."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gymnasium as gym
import pytest

import agentgym
from agentgym.agents.coding.controls import control_named
from agentgym.cli.main import main
from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.turns.control import Dynamic, Fixed, Learned, Reminders, Unrestricted

pytest.importorskip("httpx", reason="needs the extra language")

EASY = "agentgym/CodeRepairEasy-v0"
PRICES = {"m": {"input": 10.0, "cached_read": 1.0, "cache_write": 10.0, "output": 100.0, "date": "2026-01"}}


class Server:
    """Knows the way in the tasks of four seeds: it runs all tests, looks around, repairs, and submits."""

    def __init__(self):
        env = gym.make(EASY).unwrapped
        self.ways, self.asked, self.answered = {}, [], 0
        for seed in range(4):
            text, _ = env.reset(seed=seed)
            plan = [f"bash {command}" for command in env.plan()[:-1]]
            self.ways[text] = ["bash run all", "I think about it.", *plan, "done"]
        self.hangs_at, self.released = None, threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body)
                if len(outer.asked) == outer.hangs_at:
                    outer.released.wait(60)
                    return
                data = json.dumps(outer.answer(body)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def answer(self, body):
        self.answered += 1
        messages = body["messages"]
        said = self.ways[messages[1]["content"].partition("\n[")[0]][len(messages) // 2 - 1]
        usage = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 60}}
        return {"choices": [{"message": {"role": "assistant", "content": said}}], "usage": usage}


@pytest.fixture
def server():
    made = Server()
    yield made
    made.released.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def solving(tmp_path, monkeypatch, capsys, server):
    """``solving(*words)`` runs ``agentgym solve`` on four tasks: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "prices.json").write_text(json.dumps(PRICES))

    def run(*words):
        code = 0
        try:
            main(command(server, *words))
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def command(server, *words):
    return [
        "solve", "--model", "m", "--endpoint", server.url, "--env", EASY, "--tasks", "4", "--prices", "prices.json",
        *map(str, words),
    ]  # fmt: skip


def rows_in(folder):
    with (Path(folder) / "rows.csv").open() as file:
        return list(csv.DictReader(file))


def test_tasks_are_solved_and_billed(server, solving):
    code, out, err = solving("--out", "here")
    assert (code, err) == (0, "")
    rows = rows_in("here")
    assert [(row["task"], row["exit"], row["solved"]) for row in rows] == [(f"{n}", "done", "True") for n in range(4)]
    for row, way in zip(rows, server.ways.values(), strict=True):
        turns = len(way)
        assert int(row["turns"]) == turns
        assert (int(row["fresh"]), int(row["cached"]), int(row["output"])) == (40 * turns, 60 * turns, 5 * turns)
        assert float(row["cost"]) == pytest.approx(turns * (40 * 10 + 60 * 1 + 5 * 100) / 1e6)
        assert float(row["cost_uncached"]) == pytest.approx(turns * (100 * 10 + 5 * 100) / 1e6)
    calls = sum(map(len, server.ways.values()))
    assert server.answered == calls
    assert f"{sum(float(row['cost']) for row in rows) / 4:.4f}" in out
    assert "100.0 %" in out
    assert "prices of 2026-01" in out
    # Again: nothing is left to ask. Without a price: the same tokens, and costs are unknown, not 0.
    assert solving("--out", "here")[0] == 0
    (Path("prices.json")).write_text("{}")
    code, out, _ = solving("--out", "here")
    assert "unknown" in out
    assert [(row["cost"], row["fresh"]) for row in rows_in("here")] == [("", row["fresh"]) for row in rows]
    assert server.answered == calls


def test_further_controls_and_limits_from_other_runs(server, solving):
    assert solving("--out", "all", "--tasks", "3")[0] == 0
    asked = len(server.asked)
    controls = ["unrestricted", "fixed:limit=2,every=true", "fixed:of=all,percent=50"]
    code, out, _ = solving("--out", "all", "--control", *controls)
    assert code == 0
    rows = {(row["control"], row["task"]): row for row in rows_in("all")}
    assert len(rows) == 12
    lengths = [len(way) for way in server.ways.values()]
    limit = sorted(lengths[:3])[1]
    played = lengths[3] + 4 * 2 + sum(min(limit, length) for length in lengths)
    assert len(server.asked) - asked == played
    short = rows["fixed:limit=2,every=true", "0"]
    assert (short["exit"], short["submitted"], short["turns"], short["reminders"]) == ("limit", "auto", "2", "2")
    told = [body["messages"][-1]["content"].rpartition("\n")[2] for body in server.asked[asked:]]
    assert told.count("[Turns: 0 of 2 used, 2 left.]") == told.count("[Turns: 1 of 2 used, 1 left.]") == 4
    assert "points" in out


def test_a_killed_process_goes_on_and_pays_no_call_twice(server, solving):
    """SIGKILL while the ninth answer is awaited; then the same command again."""
    server.hangs_at = 9
    environment = {**os.environ, "PYTHONPATH": str(Path(agentgym.__file__).parents[1])}
    words = [sys.executable, "-m", "agentgym", *command(server, "--out", "killed")]
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 120
        while len(server.asked) < 9 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    server.released.set()
    server.hangs_at = None
    assert 0 < len(rows_in("killed")) < 4
    assert server.answered == 8
    code, _, err = solving("--out", "killed")
    assert (code, err) == (0, "")
    assert server.answered == sum(map(len, server.ways.values()))
    assert server.asked[8] == server.asked[9]  # the one that was not answered
    once = [*server.asked[:8], *server.asked[9:]]
    server.asked.clear()
    assert solving("--out", "whole")[0] == 0
    assert server.asked == once
    assert Path("killed/rows.csv").read_text() == Path("whole/rows.csv").read_text()


def test_a_server_that_goes_away_stops_the_batch_until_the_same_command_is_given_again(server, solving, monkeypatch):
    monkeypatch.setattr("agentgym.agents.language.policies.http_client.time.sleep", lambda seconds: None)
    answer = server.answer
    server.answer = lambda body: answer(body) if server.answered < 8 else {"error": "out of memory"}
    code, _, err = solving("--out", "here")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "not a chat completion" in err
    rows = rows_in("here")
    assert [row["exit"] for row in rows] == ["done", "model", "model"]  # the third had no answer at all
    server.answer = answer
    assert solving("--out", "here")[0] == 0
    assert [row["exit"] for row in rows_in("here")] == ["done"] * 4
    assert server.answered == sum(map(len, server.ways.values()))


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--model", ""], "Which model"),
        (["--control", "fixd:limit=3"], "fixed"),
        (["--control", "fixed"], "fixed:limit=20"),
        (["--control", "fixed:limit=0"], "limit"),
        (["--control", "fixed:limit=3,limt=4"], "limt"),
        (["--control", "fixed:limit=3,reminders=true"], "every=true"),
        (["--control", "dynamic:start=9,step=1,cap=3"], "cap"),
        (["--control", "fixed:of=nowhere"], "nowhere"),
        (["--control", "learned:policy=nowhere"], "nowhere"),
        (["--control", "unrestricted", "unrestricted"], "once"),
        (["--tasks", "0"], "tasks"),
        (["--seed", "-1"], "seed"),
        (["--env", "agentgym/CodeRepairEazy-v0"], "CodeRepairEasy"),
        (["--env", "agentgym/Household-v0"], "submit"),
        (["--env-kwargs", "split=sen"], "seen"),
        (["--cost-limit", "0"], "cost_limit"),
        (["--time-limit", "nan"], "time_limit"),
        (["--max-tokens", "0"], "max_tokens"),
        (["--temperature", "-1"], "temperature"),
        (["--endpoint", "localhost"], "http"),
        (["--prices", "nowhere.json"], "nowhere.json"),
        (["--model", "n", "--cost-limit", "1"], "not in the table"),
        (["--out", "prices.json"], "prices.json"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked_or_written(words, hint, server, solving, tmp_path):
    code, _, err = solving(*words)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert hint in err
    assert [path.name for path in tmp_path.iterdir()] == ["prices.json"]
    assert server.asked == []


def test_runs_of_another_setup_are_not_mixed(server, solving):
    assert solving("--out", "here", "--tasks", "1")[0] == 0
    before, asked = Path("here/rows.csv").read_text(), len(server.asked)
    for words, hint in ((["--model", "n"], "model"), (["--env-kwargs", "split=unseen"], "env_kwargs")):
        code, _, err = solving("--out", "here", *words)
        assert code == 2
        assert hint in err
        assert "another --out" in err
    Path("other").mkdir()
    Path("other/notes.txt").write_text("mine")
    assert solving("--out", "other")[0] == 2
    Path("here/rows.csv").write_text("control,task\nunrestricted,0\n")
    assert "damaged" in solving("--out", "here")[2]
    Path("here/rows.csv").write_text(before)
    assert solving("--out", "here", "--tasks", "1")[0] == 0
    assert len(server.asked) == asked


def test_a_learned_control_by_name(monkeypatch):
    class Policy:
        def predict(self, features, deterministic):
            return 0, None

    loaded = []
    monkeypatch.setattr("agentgym.agents.coding.controls.load_policy", lambda folder: loaded.append(folder) or Policy())
    control = control_named("learned:policy=runs/turns,limit=9", None)
    assert loaded == ["runs/turns"]
    assert (type(control), control.limit, type(control.policy)) == (Learned, 9, Policy)
    # Records are compared by this text, also in another process.
    assert repr(control) == repr(control_named("learned:policy=runs/turns,limit=9", None))
    extended = control_named("dynamic:start=3,step=2,cap=9,rule=learned,policy=runs/turns", None)
    assert (extended.rule_name, type(extended.policy)) == ("learned", Policy)


def test_controls_by_name():
    def nobody(folder):
        raise AssertionError

    assert control_named("unrestricted", nobody) == Unrestricted()
    assert control_named("fixed:limit=20,shares=0.75+0.9,last=3", nobody) == Fixed(20, Reminders(False, (0.75, 0.9), 3))
    named = control_named("dynamic:start=4,step=2,cap=9,rule=evidence,extensions=1", nobody)
    assert named == Dynamic(4, 2, 9, 1, "evidence")
    turns = list(range(1, 101))
    assert control_named("fixed:of=x", lambda folder: turns) == Fixed(75)
    assert control_named("fixed:of=x,percent=25", lambda folder: turns) == Fixed(25)
    assert control_named("dynamic:of=x,rule=automatic", lambda folder: turns) == Dynamic(
        50, 25, 100, rule_name="automatic"
    )
    for text in ("fixed:of=x,percent=0", "fixed:of=x,percent=most", "unrestricted:of=x"):
        with pytest.raises(AskError):
            control_named(text, lambda folder: turns)
    with pytest.raises(UnknownId, match="percent"):
        control_named("fixed:limit=3,percent=50", nobody)
    with pytest.raises(InvalidParameter, match="start, step, cap"):
        control_named("dynamic", nobody)
