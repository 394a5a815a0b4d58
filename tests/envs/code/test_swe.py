"""Tasks in the formats of SWE-bench and SWE-smith: gold patches score, tampering is refused, bad input is named."""

import difflib
import importlib
import json
import shutil
import sys
from pathlib import Path

import gymnasium as gym
import pytest

import agentgym  # noqa: F401
from agentgym.envs.code.repositories import repository
from agentgym.envs.code.sandbox import Interpreter, interpreter_of
from agentgym.envs.code.swe import grader as graders
from agentgym.envs.code.swe import world as worlds
from agentgym.envs.code.swe.formats import read_instances
from agentgym.envs.code.swe.grader import Settings, grade, problems_of, refused
from agentgym.envs.code.swe.patches import PatchFails, apply, touched
from agentgym.envs.code.swe.tasks import read_task
from agentgym.errors import CorruptFile, InvalidParameter, UnknownId

RIGHT = repository("ledger").files
WRONG = {"ledger/balances.py": RIGHT["ledger/balances.py"].replace("when > day", "when >= day")}
TESTS = "tests/test_balances.py"
NEW_TEST = """
    def test_a_day_is_counted(self):
        self.assertEqual(balance([(1, "cash", 5)], "cash", 1), 5)
"""
UNITTEST = "tests.test_balances.TestBalances."
PYTEST = f"{TESTS}::TestBalances::"


def diff(before, after):
    """A patch as git writes one."""
    parts = []
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old != new:
            mode = "new file mode 100644\n" if old is None else "deleted file mode 100644\n" if new is None else ""
            names = [None if text is None else f"{side}/{path}" for side, text in (("a", old), ("b", new))]
            lines = difflib.unified_diff(
                (old or "").splitlines(True), (new or "").splitlines(True), *(name or "/dev/null" for name in names)
            )
            parts.append(f"diff --git a/{path} b/{path}\n{mode}{''.join(lines)}")
    return "".join(parts)


def write(folder, files):
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode("utf-8", "surrogateescape"))


def bench_row(name="acme__ledger-1", kind=UNITTEST):
    """A fault that only a new test notices, as in SWE-bench."""
    kept = [line for line in RIGHT[TESTS].split("\n") if "at_a_day" not in line and '"cash", 2)' not in line]
    base = {**RIGHT, **WRONG, TESTS: "\n".join(kept)}
    with_test = {**base, TESTS: base[TESTS] + NEW_TEST}
    row = {
        "instance_id": name, "repo": "acme/ledger", "problem_statement": "The last day is not counted: 5 €.",
        "patch": diff(base, {**base, "ledger/balances.py": RIGHT["ledger/balances.py"]}),
        "test_patch": diff(base, with_test), "FAIL_TO_PASS": json.dumps([f"{kind}test_a_day_is_counted"]),
        "PASS_TO_PASS": json.dumps([f"{kind}test_balance", f"{kind}test_overdrawn"]), "base_commit": "1" * 40,
    }  # fmt: skip
    return row, base


def smith_row(name="acme__ledger.abc.func__1", kind=UNITTEST):
    """A fault that the patch makes, as in SWE-smith."""
    row = {
        "instance_id": name, "repo": "acme/ledger", "image_name": "none", "problem_statement": "Balances are wrong.",
        "patch": diff(RIGHT, {**RIGHT, **WRONG}), "FAIL_TO_PASS": [f"{kind}test_balance_at_a_day"],
        "PASS_TO_PASS": [f"{kind}test_balance", f"{kind}test_lowest"],
    }  # fmt: skip
    return row, dict(RIGHT)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A file of three tasks, and their folders: SWE-bench, SWE-smith without and with the fault in the folder."""
    root = tmp_path_factory.mktemp("swe")
    bench, smith = bench_row(), smith_row()
    faulty = smith_row("acme__ledger.abc.func__2")
    rows = [bench, smith, (faulty[0], {**RIGHT, **WRONG})]
    for row, files in rows:
        write(root / "folders" / row["instance_id"], files)
    hidden = root / "folders" / bench[0]["instance_id"]
    write(hidden, {".git/HEAD": "x", "ledger/balances.py.orig": RIGHT["ledger/balances.py"], "data.bin": "\udcff\0"})
    (hidden / "link").symlink_to("README.md")
    (root / "tasks.jsonl").write_text("\n".join(json.dumps(row) for row, _ in rows))
    return root


def make(place, **arguments):
    return gym.make(
        "agentgym/CodeTasks-v0", tasks=str(place / "tasks.jsonl"), folders=str(place / "folders"), **arguments
    ).unwrapped


@pytest.fixture(scope="module")
def tasks(place):
    return {each.id: read_task(each, place / "folders") for each in read_instances(place / "tasks.jsonl")}


def test_both_formats_are_read(tasks):
    bench, smith, faulty = tasks.values()
    assert [each.instance.form for each in tasks.values()] == ["swe-bench", "swe-smith", "swe-smith"]
    assert {each.instance.runner for each in tasks.values()} == {"unittest"}
    for task in (bench, smith, faulty):
        assert task.start["ledger/balances.py"] == WRONG["ledger/balances.py"]
        assert task.gold["ledger/balances.py"] == RIGHT["ledger/balances.py"]
        assert set(task.solution) == {"ledger/balances.py"}
    assert (smith.start, smith.gold, smith.tests) == (faulty.start, faulty.gold, faulty.tests)
    assert "test_a_day_is_counted" in bench.tests[TESTS]
    assert "test_a_day_is_counted" not in bench.start[TESTS]
    assert set(bench.start) == {*RIGHT, "data.bin"}  # no history, no backup, no link


def test_gold_scores_and_nothing_does_not(level, place):
    env = make(place, check=True, cost=0.01)
    seen = set()
    for episode in range(3):
        text, info = env.reset(seed=4 if episode == 0 else None)
        assert info["task"] in text
        seen.add(env.world.of.instance.id)
        assert env.observation_space.contains(text)
        assert env.world.graded().resolved is False
        plan = env.plan()
        assert info["shortest"] == len(plan) == 2
        for command in plan:
            _, reward, terminated, _, info = env.step(command)
        assert (info["verdict"], info["reason"], reward, terminated) == (True, "", 0.98, True)
        assert info["measures"] == {"success": 1, "turns": 2, "invalid_turns": 0, "regret": 0}
    assert len(seen) == 3  # the episodes of a seed go through all tasks
    env.close()


def test_equal_seeds_give_equal_tasks_and_snapshots_resume(level, place):
    env, other = make(place), make(place)
    assert [env.reset(seed=s)[0] for s in range(3)] == [other.reset(seed=s)[0] for s in range(3)]
    other.close()
    batch = gym.make_vec(
        "agentgym/CodeTasks-v0", num_envs=2, tasks=str(place / "tasks.jsonl"), folders=str(place / "folders")
    )
    texts, _ = batch.reset(seed=[2, 2])
    assert texts == (env.reset(seed=2)[0],) * 2
    batch.close()
    env.step("echo '# note' >> README.md; rm tests/test_postings.py; echo x > new.txt; cd ledger")
    taken, anchor = json.loads(json.dumps(env.snapshot())), env.world.anchor()
    assert set(taken["state"]["changed"]) == {"README.md", "tests/test_postings.py", "new.txt"}
    env.step("rm -rf *")
    assert env.world.anchor() != anchor
    env.restore(taken)
    assert (env.world.anchor(), env.snapshot()) == (anchor, taken)
    # The plan takes back what was changed.
    for command in env.plan():
        info = env.step(command)[4]
    assert info["verdict"] is True
    env.close()


@pytest.fixture
def python(level, tmp_path, monkeypatch):
    """An interpreter with pytest and without the many plugins of this one, which take seconds to import."""
    if level != "bwrap":
        pytest.skip("packages below the temporary folder need bubblewrap")
    mine = interpreter_of(sys.executable)
    for name in ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments"):
        shutil.copytree(Path(importlib.import_module(name).__file__).parent, tmp_path / "packages" / name)
    shutil.copy(importlib.import_module("py").__file__, tmp_path / "packages" / "py.py")
    named = Interpreter(mine.program, mine.base, (str(tmp_path / "packages"),))
    monkeypatch.setattr(worlds, "interpreter_of", lambda _: named)
    return mine.program


def test_the_coding_loop_and_turn_control_take_it(level, place):
    from agentgym.agents.coding.loop import solve
    from agentgym.agents.coding.models import Scripted
    from agentgym.make import perturbed
    from agentgym.turns.control import Fixed

    env = make(place, instances="acme__ledger-1")
    edit = "edit ledger/balances.py\n<<<<<<< OLD\nwhen >= day\n=======\nwhen > day\n>>>>>>> NEW"
    run = solve(env, 0, Scripted(["bash cat ledger/balances.py", edit, "done"]))
    assert (run.exit, run.solved, run.submitted, run.reward) == ("done", True, "agent", 1.0)
    run = solve(env, 0, Scripted([edit, "bash ls", "done"]), Fixed(2))
    assert (run.exit, run.solved, run.submitted) == ("limit", True, "auto")
    limited = perturbed(env, ({"type": "TurnControl", "rule": "fixed", "limit": 1},))
    limited.reset(seed=0)
    assert limited.step("ls")[4]["verdict"] is None
    assert limited.step("ls")[4]["verdict"] is False  # the limit has made it a submission
    env.close()


def test_a_batch_plays_each_task_of_the_file_once(level, place, tmp_path):
    from agentgym.agents.coding.batch import Setup, play_batch, tasks_of
    from agentgym.agents.coding.models import Simulated
    from agentgym.turns.control import Fixed

    env, arguments = "agentgym/CodeTasks-v0", {"tasks": str(place / "tasks.jsonl"), "folders": str(place / "folders")}
    listed = tasks_of(env, arguments, 3, 7)
    names = [json.loads(line)["instance_id"] for line in (place / "tasks.jsonl").read_text().splitlines()]
    assert [task.name for task in listed] == names
    with pytest.raises(InvalidParameter, match="has 3 tasks"):
        tasks_of(env, arguments, 4, 7)
    setup = Setup(env, arguments, "simulated-1", 1, 0.0)
    rows = play_batch(tmp_path / "runs", setup, Simulated(1), {"fixed:limit=1": Fixed(1)}, listed)
    assert [(row.task, row.turns, row.solved, row.submitted, row.level) for row in rows] == [
        (name, 1, False, "auto", level) for name in names
    ]


def test_pytest_with_the_packages_of_an_interpreter(python, tmp_path):
    """One task in pytest's names, with a parameter whose id SWE-bench cuts at its blank, and with a missing test."""
    row, files = bench_row("acme__ledger-2", PYTEST)
    more = '\nimport pytest\n\n\n@pytest.mark.parametrize("day", ["of may"])\ndef test_day(day):\n    assert day\n'
    row["test_patch"] = diff(files, {**files, TESTS: files[TESTS] + NEW_TEST + more})
    row["PASS_TO_PASS"] = [f"{PYTEST}test_balance", f"{TESTS}::test_day[of"]
    write(tmp_path / "folders" / row["instance_id"], files)
    (tmp_path / "tasks.jsonl").write_text(json.dumps(row))
    with pytest.raises(InvalidParameter, match="python=PATH"):
        make(tmp_path)
    env = make(tmp_path, python=python)
    env.reset(seed=0)
    assert "pytest" in env.step("python3 -m pytest --version")[0]
    settings = env.world.settings
    task = env.world.of
    assert problems_of(task, settings) == []
    nowhere = {**row, "PASS_TO_PASS": [f"{PYTEST}test_balance", "tests/nowhere.py::test_x", f"{PYTEST}test_none"]}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(nowhere))
    wrong = make(tmp_path, python=python, check=True)
    with pytest.raises(InvalidParameter, match=r"ledger-2 .*nowhere.py::test_x is not found.*test_none is not found"):
        wrong.reset(seed=0)
    env.close()


def test_a_check_finds_wrong_tests(level, place, tasks):
    instance = next(iter(tasks.values())).instance
    settings = Settings()

    def problems(**changes):
        from dataclasses import replace

        return problems_of(read_task(replace(instance, **changes), place / "folders"), settings)

    (found,) = problems(failing=(*instance.failing, f"{UNITTEST}test_balance"), passing=())
    assert found == f"{UNITTEST}test_balance passes at the start (FAIL_TO_PASS)"
    (found,) = problems(passing=instance.failing)
    assert found == f"{UNITTEST}test_a_day_is_counted fails at the start (PASS_TO_PASS)"


CHANGES = {
    "changes the tests": (TESTS, "tests/new.txt", "ledger/test_more.py", "conftest.py", "test/a.py"),
    "changes how tests run": ("sitecustomize.py", "a.pth", "ledger/fast.so", "pytest.ini", "setup.cfg"),
    "hides a module": ("unittest/__init__.py", "random.py", "src/pytest.py", "_pytest/main.py"),
}
REACHING = (
    "import unittest", "from unittest import case", "import gc, os", "os._exit(0)", "from os import _exit",
    "getattr(os, '_exit')", "sys._getframe(1)", "__import__('unittest')", "().__class__.__base__.__subclasses__()",
)  # fmt: skip


def test_tampering_is_refused(tasks):
    task = next(iter(tasks.values()))
    for reason, paths in CHANGES.items():
        for path in paths:
            assert reason in refused(task, {path: "x = 1\n"}), path
    assert "changes the tests" in refused(task, {TESTS: None})
    for line in REACHING:
        assert "could reach the grader" in refused(task, {"ledger/interest.py": RIGHT["ledger/interest.py"] + line}), (
            line
        )
    for path in ("ledger/balances.py", "tests/link", "ledger/x.so"):
        assert "no text file" in refused(task, {}, [path])
    fine = {"notes.md": "", "reproduce.py": "import sys\n", "ledger/more.py": "import math\n", "ledger/rates.py": None}
    assert refused(task, {**fine, **task.solution}, ["picture.png"]) == ""


def test_forged_results_are_no_success(level, tasks, monkeypatch):
    """Work that makes all tests pass is found by the grader's own tests, even where it is not refused."""
    task = next(iter(tasks.values()))
    monkeypatch.setattr(graders, "refused", lambda *_: "")
    forged = {"ledger/__init__.py": "import unittest\nunittest.TestResult.wasSuccessful = lambda self: True\n"}
    verdict = grade(task, forged)
    assert verdict.resolved is False
    assert "own tests are wrong" in verdict.reason
    verdict = grade(task, {"ledger/__init__.py": "import os\nos._exit(0)\n"})
    assert (verdict.resolved, verdict.reason) == (False, "the tests ended early: exit status 0")
    verdict = grade(task, {"ledger/balances.py": "def balance(:\n"})
    assert (verdict.resolved, verdict.reason) == (False, "3 of 3 tests fail")


def test_a_broken_grader_gives_no_verdict(level, place, monkeypatch):
    monkeypatch.setattr(graders.runner, "__file__", __file__)  # a program without main()
    env = make(place)
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step("submit")
    assert (reward, terminated, info["verdict"], info["problem"]) == (0.0, True, None, "failed")
    assert "does not work here" in info["reason"]
    assert "no_verdict" in info["measures"]
    assert "success" not in info["measures"]
    env.close()


def test_an_installed_answer_is_refused(level, place, tmp_path, monkeypatch):
    env = make(place)
    (tmp_path / "ledger").mkdir()
    python = interpreter_of(sys.executable)
    monkeypatch.setattr(env.world, "python", Interpreter(python.program, python.base, (str(tmp_path),)))
    with pytest.raises(InvalidParameter, match="installed ledger, which may hold the solution"):
        env.reset(seed=0)
    env.close()


def test_patches_make_rename_and_remove_files():
    before = {"a.py": "1\n2\n", "b/c.bin": "\udcff\0", "old name.txt": "".join(f"{n}\n" for n in range(9))}
    after = {"a.py": "1\n3\n", "b/c.bin": "\udcff\0", "new/d.py": "x\n"}
    patch = diff(before, after)
    assert apply(before, patch) == after
    assert apply(after, patch, reverse=True) == before
    assert touched(before, after) == {"a.py": "1\n3\n", "new/d.py": "x\n", "old name.txt": None}
    move = "diff --git a/a.py b/z.py\nsimilarity index 100%\nrename from a.py\nrename to z.py\n"
    assert set(apply(before, move)) == {"b/c.bin", "old name.txt", "z.py"}
    for bad in ("no patch", diff({"a.py": "9\n"}, {"a.py": "8\n"}), diff({}, {"../x": "1\n"})):
        with pytest.raises(PatchFails):
            apply(before, bad)
    link = "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n"
    with pytest.raises(PatchFails, match="link"):
        apply(before, link)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("problem_statement", None, "acme__ledger-1 has no problem_statement"), ("patch", "", "patch is empty"),
        ("FAIL_TO_PASS", "[]", "FAIL_TO_PASS is empty"), ("PASS_TO_PASS", "test_a", "no PASS_TO_PASS"),
        ("PASS_TO_PASS", ["test_a"], "'test_a' is not a test of unittest"), ("FAIL_TO_PASS", [3], "no FAIL_TO_PASS"),
        ("PASS_TO_PASS", [f"{PYTEST}test_a"], "as its first"), ("instance_id", "../x", "could name a folder"),
        ("test_patch", None, "Name its format"), ("patch", "x", "acme__ledger-1: patch does not apply"),
        ("test_patch", "x", "test_patch does not apply"),
    ],
)  # fmt: skip
def test_bad_rows_are_named(level, tmp_path, field, value, message):
    row, files = bench_row()
    write(tmp_path / "folders" / row["instance_id"], files)
    (tmp_path / "tasks.jsonl").write_text(json.dumps({**row, field: value}))
    with pytest.raises(InvalidParameter, match=message):
        make(tmp_path).reset(seed=0)


def test_bad_files_are_named(place, tmp_path):
    with pytest.raises(InvalidParameter, match="tasks=FILE"):
        gym.make("agentgym/CodeTasks-v0")
    with pytest.raises(InvalidParameter, match="no file of tasks"):
        read_instances(tmp_path / "none.jsonl")
    file = tmp_path / "tasks.json"
    for text, error, message in (
        ("[", CorruptFile, "JSON"), ('{}\n{"', CorruptFile, "line 2"), ("[]", InvalidParameter, "no tasks"),
        ("[1]", InvalidParameter, "Row 1"), (json.dumps([bench_row()[0]] * 2), InvalidParameter, "twice"),
    ):  # fmt: skip
        file.write_text(text)
        with pytest.raises(error, match=message):
            read_instances(file)
    with pytest.raises(UnknownId, match="acme__ledger-1"):
        make(place, instances="acme__ledger-9")
    with pytest.raises(UnknownId, match="format"):
        make(place, form="swe")
    file.write_text(json.dumps([bench_row()[0], bench_row("acme__ledger-9")[0]]))
    with pytest.raises(InvalidParameter, match=r"acme__ledger-9 has no folder .*instances="):
        gym.make("agentgym/CodeTasks-v0", tasks=str(file), folders=str(place / "folders"))
    with pytest.raises(InvalidParameter, match="no Python interpreter"):
        make(place, python="/bin/false")


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [bench_row()[0], {**smith_row()[0], "FAIL_TO_PASS": json.dumps(smith_row()[0]["FAIL_TO_PASS"])}]
    rows[1]["PASS_TO_PASS"] = json.dumps(rows[1]["PASS_TO_PASS"])
    parquet.write_table(pyarrow.Table.from_pylist(rows[:1]), tmp_path / "a.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(rows[1:]), tmp_path / "b.parquet")
    assert [read_instances(tmp_path / f"{name}.parquet")[0].form for name in "ab"] == ["swe-bench", "swe-smith"]
    (tmp_path / "c.parquet").write_text("x")
    with pytest.raises(CorruptFile, match="Parquet"):
        read_instances(tmp_path / "c.parquet")


def test_the_check_of_a_file(level, tmp_path, capsys):
    from agentgym.envs.code.swe.check import main

    row, files = smith_row()
    write(tmp_path / row["instance_id"], files)
    (tmp_path / "tasks.json").write_text(json.dumps([row, {**row, "instance_id": "none"}]))
    assert main([str(tmp_path / "tasks.json"), str(tmp_path)]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("none: Task none has no folder")
    assert last == "1 of 2 tasks cannot be graded on this machine."
    with pytest.raises(InvalidParameter, match="Name the file"):
        main([])
