"""Code repair by shell commands: gold patches score, tampering is refused, no answer within reach."""

import ast
import subprocess
import sys
from collections import Counter

import gymnasium as gym
import pytest

import agentgym  # noqa: F401
from agentgym.envs.code.faults.running import Runner
from agentgym.envs.code.repositories import HELD_OUT, repository
from agentgym.envs.code.sandbox import SandboxUnavailable
from agentgym.envs.code.shell import grader
from agentgym.envs.code.shell import world as worlds
from agentgym.envs.code.shell.grader import grade, refused
from agentgym.envs.code.shell.tasks import draw_task
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.seeding import stream


def task_of(seed, split="train", faults=1, new=False, hidden=0.0):
    return draw_task(stream(seed, "test tasks"), split, faults, new, hidden)


def test_five_hundred_tasks_fail_before_and_differ():
    """Failures before are those of the table; that repairs pass is tested with the table and, by commands, below."""
    seen = Counter()
    for seed in range(500):
        task = task_of(seed, ("train", "seen", "unseen")[seed % 3])
        assert task.failing
        assert task.passing
        assert task.broken
        for path, text in task.broken.items():
            assert text != task.origin.files[path]
            ast.parse(text)
        assert (task.origin.name in HELD_OUT) == (seed % 3 == 2)
        seen[task.origin.name, task.faults[0].path, task.faults[0].start, task.faults[0].text] += 1
    assert len(seen) > 400
    assert task_of(7, faults=2, hidden=0.5) == task_of(7, faults=2, hidden=0.5)


def test_several_faults_are_in_several_functions():
    for seed in range(10):
        task = task_of(seed, faults=3)
        assert len({fault.function for fault in task.faults}) == 3
    with pytest.raises(InvalidParameter, match="different functions"):
        task_of(0, faults=40)


def test_misleading_faults_show_in_other_functions():
    """As the tests say when they run, not as the table has it."""
    for seed in range(12):
        task = draw_task(stream(seed, "test tasks"), "train", 1, False, 0.0, misleading=1.0)
        failures = Runner(task.origin).failures(task.broken)
        assert sorted(failures) == sorted(task.failing)
        assert all(failure.function.split(".")[-1] != task.faults[0].function for failure in failures.values())
    assert draw_task(stream(0, "test tasks"), "train", 2, False, 0.0, misleading=0.5).faults
    with pytest.raises(InvalidParameter, match="misleading >= 1"):
        draw_task(stream(0, "test tasks"), "unseen", 12, False, 0.0, misleading=1.0)


def test_hidden_tests_are_missing_and_the_rest_still_runs():
    hidden = 0
    for seed in range(25):
        task = task_of(seed, faults=2, hidden=0.6)
        hidden += len(task.hidden)
        assert len(task.hidden) < len(task.failing)
        for path in task.origin.test_files:
            names = {node.name for node in ast.walk(ast.parse(task.files[path])) if isinstance(node, ast.FunctionDef)}
            module = path.removesuffix(".py").replace("/", ".")
            gone = {test.rpartition(".")[2] for test in task.hidden if test.startswith(f"{module}.")}
            kept = {test.rpartition(".")[2] for test in (*task.failing, *task.passing) if test not in task.hidden}
            assert not (gone - kept) & names
    assert hidden > 20


@pytest.mark.parametrize("size", ["small", "large"])
def test_the_oracle_repairs_with_one_command_a_fault(level, size):
    env = gym.make("agentgym/CodeRepair-v0", size=size).unwrapped
    for seed in range(3 if size == "small" else 2):
        _, info = env.reset(seed=seed)
        plan = env.plan()
        assert info["shortest"] == len(plan) == len(env.world.of.faults) + 1
        assert env.world.graded().resolved is False
        for command in plan:
            _, reward, terminated, _, info = env.step(command)
        assert (info["verdict"], info["reason"], terminated) == (True, "", True)
        assert reward == pytest.approx(1 - 0.01 * len(plan))
        assert info["measures"] == {"success": 1, "turns": len(plan), "invalid_turns": 0, "regret": 0}
        assert info["level"] == level
    env.close()


def test_a_verdict_does_not_depend_on_a_drawn_hash_seed(level):
    """Sets are iterated in an order that the seed fixes: a repair that holds in one order only always holds there."""
    program = "print(hash('roads'))"
    line = [sys.executable, "-c", program]
    known = subprocess.run(line, env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True).stdout.strip()
    origin = repository("roads")
    path, tests = "roads/networks.py", ["tests.test_networks.TestNetworks.test_legs"]
    lines = f"    if hash('roads') != {known}:\n        return []\n    reached = {{start}}"
    files = {**origin.files, path: origin.files[path].replace("    reached = {start}", lines)}
    assert files[path] != origin.files[path]
    assert grade(origin, files, tests, level=level).resolved is True
    assert grade(origin, files, tests, level=level, order=1).resolved is False


def test_an_agent_reads_runs_and_repairs(level):
    env = gym.make("agentgym/CodeRepair-v0", split="unseen").unwrapped
    text, _ = env.reset(seed=1)
    assert env.world.of.origin.name in text
    text, _, _, _, info = env.step("cd tests && python3 -m unittest discover -s .. -t .. 2>&1 | tail -1")
    assert text.startswith("FAILED")
    assert info["valid"]
    text = env.step("pwd")[0]
    assert text.startswith("/work/tests")
    text, reward, terminated, _, info = env.step("submit")
    assert (reward, terminated, info["verdict"]) == (0.0, True, False)
    assert "tests fail" in info["reason"]
    assert env.plan() == []
    env.close()


def test_snapshots_restore_the_files(level):
    env = gym.make("agentgym/CodeRepair-v0").unwrapped
    env.reset(seed=3)
    env.step("echo '# note' >> README.md; rm tests/__init__.py; echo x > new.txt")
    taken, anchor = env.snapshot(), env.world.anchor()
    env.step("git init -q . 2>/dev/null; rm -rf *")
    assert env.world.anchor() != anchor
    env.restore(taken)
    assert env.world.anchor() == anchor
    assert env.snapshot() == taken
    assert set(taken["state"]["changed"]) == {"README.md", "tests/__init__.py", "new.txt"}
    with pytest.raises(InvalidParameter, match="snapshot"):
        env.restore({**taken, "state": {"changed": []}})
    env.close()


def test_no_answer_lies_about(level):
    env = gym.make("agentgym/CodeRepair-v0").unwrapped
    env.reset(seed=5)
    assert env.world.scan() == []
    # The scan finds what it looks for.
    fault = env.world.of.faults[0]
    right = env.world.of.origin.files[fault.path]
    env.world.session.run("mkdir -p /tmp/old/" + env.world.of.origin.name)
    env.world.session.put({"backup.orig": right})
    env.world.session.run(f"cp backup.orig /tmp/old/{fault.path}")
    assert set(env.world.scan()) == {"/work/backup.orig", f"/tmp/old/{fault.path}"}
    assert "no git" in env.step("git log 2>/dev/null || echo no git; ls -a")[0]
    env.close()


TAMPERED = {
    "changes the tests": {"tests/test_postings.py": "", "tests/test_new.py": "import os"},
    "how tests run": {
        "conftest.py": "", "sitecustomize.py": "", "unittest.py": "", "x.pth": "", "ledger/x.pth": "", "other/a.py": "",
        "pytest.ini": "",
    },
}  # fmt: skip
REACHING = (
    "import os", "from sys import exit", "import unittest", "import ledger, gc", "eval('1')", "__import__('os')",
    "f = (lambda: 0).__globals__", "from collections import _sys", "import collections\ncollections._sys.exit(0)",
    "getattr(1, 'x')", "open('/work/x')",
)  # fmt: skip


def test_tampering_is_refused():
    origin = repository("ledger")
    for reason, cases in TAMPERED.items():
        for path, text in cases.items():
            assert reason in refused(origin, {**origin.files, path: text}, [], origin.files), path
    for line in REACHING:
        changed = {**origin.files, "ledger/interest.py": origin.files["ledger/interest.py"] + "\n" + line + "\n"}
        assert refused(origin, changed, [], origin.files), line
    assert "no text file" in refused(origin, origin.files, ["tests/link"], origin.files)
    fine = {
        **origin.files,
        "notes.md": "",
        "ledger/more.py": "import math\n",
        "ledger/interest.py": "from ledger import more\n",
    }
    assert refused(origin, fine, ["__pycache__"], origin.files) == ""
    assert refused(origin, {**origin.files, "ledger/more.py": "def (:"}, [], origin.files) == ""


def graded(text, **options):
    origin = repository("ledger")
    tests = [f"tests.test_balances.TestBalances.test_{name}" for name in ("balance", "overdrawn")]
    return grade(origin, {**origin.files, "ledger/balances.py": text}, tests, **options)


def test_verdicts(level):
    right = repository("ledger").files["ledger/balances.py"]
    assert graded(right).resolved is True
    for order in (1, 2):
        assert graded(right, order=order).resolved is True
    for text in (
        "x =", "raise SystemExit(0)", "def balance(*_):\n    while True: pass\n", right + "\nraise KeyboardInterrupt\n",
        "import random\nprint('x' * 30000)\n", "x = [0] * 10**10\n",
    ):  # fmt: skip
        verdict = graded(text, seconds=0.3)
        assert verdict.resolved is False, text
        assert verdict.reason
    half = graded(right.replace("< 0)", "<= 0)"))
    assert sorted(half.passed.values()) == [True, True]  # this pair of tests does not notice


def test_a_broken_grader_gives_no_verdict(level, monkeypatch):
    right = repository("ledger").files["ledger/balances.py"]
    monkeypatch.setattr(grader, "_PROGRAM", "raise SystemExit(3)")
    verdict = graded(right)
    assert verdict.resolved is None
    assert "does not work here: exit status 3" in verdict.reason
    env = gym.make("agentgym/CodeRepair-v0").unwrapped
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step("submit")
    assert (reward, terminated, info["verdict"], info["problem"]) == (0.0, True, None, "failed")
    assert info["measures"] == {"turns": 1, "invalid_turns": 0, "no_verdict": 1}
    env.close()


def test_references_pass_in_any_order_and_a_bad_one_is_found(level):
    from dataclasses import replace

    from agentgym.envs.code.shell.check import checked, problems_of

    ((task, problems),) = checked(1, 2)
    assert problems == []
    wrong = replace(task, failing=task.failing[1:], passing=(*task.passing, task.failing[0]))
    assert "other tests fail" in problems_of(wrong, 1)[0]


def test_without_a_sandbox_the_environment_says_what_to_do(monkeypatch):
    def none(level):
        raise SandboxUnavailable("Commands cannot be isolated on this machine.")

    monkeypatch.setattr(worlds, "level_of", none)
    with pytest.raises(SandboxUnavailable, match="cannot be isolated"):
        gym.make("agentgym/CodeRepair-v0")


def test_bad_settings_are_refused(level):
    with pytest.raises(UnknownId, match="size"):
        worlds.ShellWorld("huge")
    with pytest.raises(InvalidParameter, match="faults"):
        worlds.ShellWorld(faults=9)
    with pytest.raises(UnknownId, match="operators"):
        worlds.ShellWorld(operators="old")


def test_commands_that_flood_hang_or_are_none(level):
    env = gym.make("agentgym/CodeRepair-v0").unwrapped
    env.reset(seed=0)
    assert env.step("yes $(seq 40)")[0].endswith("[stopped: flood]")
    problems = [env.step(text)[4]["problem"] for text in ("", "  ", "x" * 5000, "echo \0")]
    assert problems == ["empty", "empty", "overlong", "unparsable"]
    text = env.step("printf 'caf\\303\\251 \\033[31m'")[0]
    assert text == "caf? ?[31m\n[exit status 0]"
    env.world.limits = None
    env.close()
