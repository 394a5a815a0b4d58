# ruff: noqa: E501

"""Faults: every edit is one of the language, has an inverse, and the shipped table is what a run of the tests gives."""

import ast
import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from agentgym.envs.code.faults.edits import OPERATORS, REMOVALS, Edit, apply, edits, removals
from agentgym.envs.code.faults.factory import HELD_OUT_OPERATORS, POOL, fingerprint
from agentgym.envs.code.faults.running import KINDS, Runner, Stopped
from agentgym.envs.code.repair.tasks import raw_table, tasks
from agentgym.envs.code.repositories import HELD_OUT, Repository, names, repository

SOURCE = '''def pick(values, least=1, strict=True):
    """The first that fits."""
    total = 0
    for value in values:
        if not value:
            continue
        if value < least and strict or value == 3:
            total += value
            break
        total = max(value, total - 2 * len(values))
    return values[0] if total else values[-1]
'''


def test_repositories_are_small_programs_of_the_standard_library():
    assert len(names()) >= 20
    assert set(HELD_OUT) < set(names())
    for name in names():
        origin = repository(name)
        assert 5 <= len(origin.files) <= 30
        for text in origin.files.values():
            assert text.isascii()
            for node in ast.walk(ast.parse(text)) if not text.startswith("#") else ():
                if isinstance(node, ast.ImportFrom):
                    assert node.module.partition(".")[0] in (name, "unittest")
                assert not isinstance(node, ast.Import)


@pytest.mark.parametrize("name", ["ledger", "codes"])
def test_tests_pass_in_python_as_in_process(name, tmp_path):
    origin = repository(name)
    for path, text in origin.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    line = [sys.executable, "-B", "-m", "unittest"]
    assert subprocess.run(line, cwd=tmp_path, capture_output=True).returncode == 0
    runner = Runner(origin)
    assert runner.failures({}) == {}
    # The same tests fail in both.
    path = origin.modules[0]
    fault = edits(path, origin.files[path])[4]
    (tmp_path / path).write_text(apply(origin.files[path], fault))
    said = subprocess.run([*line, "-v"], cwd=tmp_path, capture_output=True, text=True).stderr
    failed = {part.split(")")[0].split("(")[1] for part in said.splitlines() if part.endswith(("FAIL", "ERROR"))}
    assert failed == set(runner.failures({path: apply(origin.files[path], fault)}))


def test_every_operator_is_found():
    found = {edit.operator for edit in edits("m.py", SOURCE)}
    assert found == set(OPERATORS) - {"flip"}
    assert {edit.operator for edit in removals("m.py", SOURCE)} == {"guard"}
    assert len({*OPERATORS, *REMOVALS}) >= 10


def test_edits_are_programs_and_most_have_an_inverse():
    kinds = Counter()
    for edit in edits("m.py", SOURCE):
        changed = apply(SOURCE, edit)
        ast.parse(changed)
        assert changed != SOURCE
        back = [other for other in edits("m.py", changed) if apply(changed, other) == SOURCE]
        kinds[bool(back)] += 1
        assert all(other.operator == edit.operator for other in back)
        if edit.new != ("turned",):
            assert all((other.old, other.new) == (edit.new, edit.old) for other in back)
    assert kinds[True] > 8 * kinds[False]


def test_edits_of_different_places_can_be_made_together():
    first, last = edits("m.py", SOURCE)[0], edits("m.py", SOURCE)[-1]
    one = apply(SOURCE, first)
    shift = len(one) - len(SOURCE)
    moved = Edit(**{**vars(last), "start": last.start + shift, "end": last.end + shift})
    assert apply(SOURCE, first, last) == apply(SOURCE, last, first) == apply(one, moved)


def made(body, test):
    files = {
        "thing/__init__.py": "", "thing/core.py": body,
        "tests/test_core.py": f"from unittest import TestCase\nfrom thing.core import *\n\nclass TestCore(TestCase):\n"
        f"    def test_it(self):\n        {test}\n",
    }  # fmt: skip
    return Runner(Repository("thing", files))


@pytest.mark.parametrize(
    ("got", "wanted", "kind"),
    [
        ("3", "2", "one more"), ("1", "2", "one less"), ("9", "2", "more"), ("-9", "2", "less"), ("-2", "2", "opposite"),
        ("True", "False", "got true"), ("False", "True", "got false"), ("None", "2", "got none"),
        ("[1, 2]", "[1]", "longer"), ("[]", "[1]", "shorter"), ("[1, 2]", "[2, 1]", "reordered"),
        ("[1]", "[2]", "different"), ("'a'", "2", "other type"), ("{}['a']", "2", "keyerror"), ("[][0]", "2", "indexerror"),
        ("1 + 'a'", "2", "typeerror"), ("int('a')", "2", "valueerror"), ("1 // 0", "2", "zerodivision"),
        ("(1).x", "2", "attributeerror"), ("what", "2", "nameerror"), ("f()", "2", "hang"),
    ],
)  # fmt: skip
def test_kinds_of_failure(got, wanted, kind):
    runner = made(f"def f():\n    return {got}\n", f"self.assertEqual(f(), {wanted})")
    (failure,) = runner.failures({}).values()
    assert (failure.kind, failure.function) == (kind, "core.f")
    assert kind in KINDS


def test_endless_programs_are_counted_and_greedy_ones_discarded():
    endless = made("def f():\n    while True:\n        pass\n", "self.assertEqual(f(), 1)")
    assert [failure.kind for failure in endless.failures({}).values()] == ["hang"]
    body = "def f():\n    return sum(1 for _ in iter(int, 1))\n"
    with pytest.raises(Stopped):
        made("def f():\n    return 1\n", "self.assertEqual(f(), 1)").failures({"thing/core.py": body})


def test_the_deepest_function_is_named_for_an_exception():
    body = "def a():\n    return b()\ndef b():\n    return c(1) + d()\ndef c(x):\n    return x\ndef d():\n    return {}[1]\n"
    (failure,) = made(body, "a()").failures({}).values()
    assert failure == ("keyerror", "core.d", ("core.a", "core.b", "core.c"))


# The shipped table


def test_the_table_is_of_these_repositories():
    assert raw_table()["fingerprint"] == fingerprint()
    assert sum(about["mutants"] for about in raw_table()["repositories"].values()) > 2000


def test_rows_of_the_table_are_what_the_tests_give():
    table = raw_table()
    draw = np.random.default_rng(0)
    for n in draw.choice(len(table["tasks"]), 12, replace=False).tolist():
        task = table["tasks"][n]
        origin, about = repository(task["repository"]), table["repositories"][task["repository"]]
        runner = Runner(origin)
        sources = {path: origin.files[path] for path in origin.modules}
        for path in sources:
            sources[path] = apply(
                sources[path],
                *(Edit(f[0], f[1], f[2], f[3], f[4], 0, "", (), ()) for f in task["faults"] if f[1] == path),
            )
        keys = list(task["rows"])
        for key in [keys[0], *draw.choice(keys, 4).tolist()]:
            changed = dict(sources)
            for path in changed:
                mine = [task["edits"][int(k)] for k in key.split(",") if k]
                mine = [Edit("", path, e[6], e[7], e[8], 0, "", (), ()) for e in mine if about["modules"][e[0]] == path]
                changed[path] = apply(changed[path], *mine)
            failed = runner.failures(changed)
            stored = {about["tests"][test]: (KINDS[kind], function) for test, kind, function, _ in task["rows"][key]}
            assert {name: f.kind for name, f in failed.items()} == {name: kind for name, (kind, _) in stored.items()}
        repaired = ",".join(map(str, range(len(task["faults"]))))
        assert task["rows"][repaired] == []
        assert task["rows"][""] != []


def test_splits_do_not_share_faults():
    train, seen, unseen = (tasks(split, 1, False) for split in ("train", "seen", "unseen"))
    assert {task.repository for task in unseen} == set(HELD_OUT)
    assert not {task.repository for task in (*train, *seen)} & set(HELD_OUT)
    assert len(train) + len(seen) + len(unseen) >= 500
    assert 0.15 < len(seen) / (len(train) + len(seen)) < 0.25
    new = tasks("train", 1, True)
    assert {task.operators[0] for task in new} == set(HELD_OUT_OPERATORS)
    held = {OPERATORS.index(name) for name in HELD_OUT_OPERATORS}
    for task in (*train, *seen, *unseen, *tasks("train", 2, False)):
        assert not held & {edit.operator for edit in task.candidates}
        assert len(task.candidates) == (POOL if len(task.operators) == 1 else 10)


def test_a_blind_pick_stays_near_chance():
    """Whoever sees only operators, words, lengths or places of the edits on offer must not find the repair."""
    train, unseen = tasks("train", 1, False), tasks("unseen", 1, False)
    views = {
        "operator": lambda task, edit: edit.operator,
        "words": lambda task, edit: (edit.operator, edit.old, edit.new),
        "length": lambda task, edit: len(task.lines[edit[:2]]) // 2,
        "place": lambda task, edit: (edit.line // 4, edit.module),
        "edits of its line": lambda task, edit: sum(other[:2] == edit[:2] for other in task.candidates),
        "edits of its function": lambda task, edit: sum(other.function == edit.function for other in task.candidates),
    }
    for name, view in views.items():
        right, offered = Counter(), Counter()
        for task in train:
            right[view(task, task.candidates[0])] += 1
            offered.update(view(task, edit) for edit in task.candidates)
        hits = 0.0
        for task in unseen:
            scores = [right[key] / (offered[key] + 5) for key in (view(task, edit) for edit in task.candidates)]
            best = [n for n, score in enumerate(scores) if score == max(scores)]
            hits += (0 in best) / len(best)
        chance = 1 / POOL
        assert hits / len(unseen) < 2.5 * chance, (name, hits / len(unseen))


@pytest.mark.slow
def test_the_table_does_not_depend_on_the_hash_seed(tmp_path):
    """Equal digests of two processes with other hash seeds."""
    program = (
        "import hashlib, json; from agentgym.envs.code.faults.factory import build; "
        "print(hashlib.sha256(json.dumps(build(['ledger', 'roads']), sort_keys=True).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"}, capture_output=True,
            text=True, cwd=tmp_path, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1
    assert json.dumps(digests.pop())
