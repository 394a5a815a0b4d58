"""Tasks of one or more faults: a faulty repository, what the agent is told, and the tests that decide."""

import ast
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from agentgym.envs.code.faults.edits import Edit, apply
from agentgym.envs.code.faults.factory import HELD_OUT_OPERATORS
from agentgym.envs.code.faults.running import Runner
from agentgym.envs.code.repair.tasks import misleading_faults, raw_table
from agentgym.envs.code.repositories import HELD_OUT, Repository, repository
from agentgym.errors import InvalidParameter

__all__ = ["ShellTask", "draw_task"]


class Fault(NamedTuple):
    """A fault of the table: a span of a file and its new text; the tests that fail by it alone."""

    operator: str
    path: str
    start: int
    end: int
    text: str
    function: str
    failing: tuple[str, ...]

    def edit(self) -> Edit:
        """The fault as an edit."""
        return Edit(self.operator, self.path, self.start, self.end, self.text, 0, self.function, (), ())


@dataclass(frozen=True)
class ShellTask:
    """A task.

    Attributes:
        origin: the repository without faults.
        faults: what was broken, each in another function.
        broken: files with the faults, by path.
        files: what the agent starts from: the broken files, the others, and the tests without the hidden ones.
        failing: tests that fail at the start (FAIL_TO_PASS).
        passing: tests that pass at the start and have to pass at the end (PASS_TO_PASS).
        hidden: failing tests that the agent's test files lack.
        statement: the task in words.
    """

    origin: Repository
    faults: tuple[Fault, ...]
    broken: dict[str, str]
    files: dict[str, str]
    failing: tuple[str, ...]
    passing: tuple[str, ...]
    hidden: tuple[str, ...]
    statement: str


@cache
def _faults(split: str, new_operators: bool, misleading: float) -> tuple[tuple[str, tuple[Fault, ...]], ...]:
    """The faults of each repository in a split, as in the learnable form."""
    found, kept = [], misleading_faults(misleading) if misleading else None
    for name, about in sorted(raw_table()["repositories"].items()):
        if (name in HELD_OUT) == (split == "unseen"):
            mine = (Fault._make([*raw[:6], tuple(raw[6])]) for raw in about["faults"])
            chosen = tuple(
                fault for fault in mine
                if _fits(name, fault, split, new_operators) and (kept is None or (name, *fault[1:5]) in kept)
            )  # fmt: skip
            if chosen:
                found.append((name, chosen))
    return tuple(found)


def _fits(name: str, fault: Fault, split: str, new_operators: bool) -> bool:
    if (fault.operator in HELD_OUT_OPERATORS) != new_operators:
        return False
    if split == "unseen" or new_operators:
        return True
    digest = zlib.crc32(f"{name} {fault.path} {fault.start} {fault.text}".encode()) >> 11
    return (digest % 5 == 0) == (split == "seen")


def draw_task(
    draw: np.random.Generator, split: str, faults: int, new_operators: bool, hidden: float, misleading: float = 0.0
) -> ShellTask:
    """Draw a task.

    Args:
        draw: the generator; equal ones give equal tasks.
        split: "train", "seen" or "unseen".
        faults: number of faults, each in another function.
        new_operators: whether the faults are of held-out kinds.
        hidden: share of the failing tests that the agent does not see, rounded down; one stays.
        misleading: of each fault, the least share of failures that name another function.

    Raises:
        InvalidParameter: no repository has as many such faults in different functions.
    """
    every = _faults(split, new_operators, misleading)
    for _ in range(1000 if every else 0):
        name, mine = every[int(draw.integers(len(every)))]
        chosen: list[Fault] = []
        for n in draw.permutation(len(mine)).tolist():
            fault = mine[n]
            apart = all(fault.function != other.function and not _overlap(fault, other) for other in chosen)
            if apart and len(chosen) < faults:
                chosen.append(fault)
        if len(chosen) == faults:
            return _task(repository(name), tuple(chosen), draw, hidden)
    kind = f" with misleading >= {misleading:g}" if misleading else ""
    raise InvalidParameter(
        f"No repository of the split has {faults} faults{kind} in different functions: choose fewer."
    )


def _overlap(one: Fault, other: Fault) -> bool:
    return one.path == other.path and one.start <= other.end and other.start <= one.end


def _task(origin: Repository, faults: tuple[Fault, ...], draw: np.random.Generator, hidden: float) -> ShellTask:
    paths = sorted({fault.path for fault in faults})
    broken = {
        path: apply(origin.files[path], *(fault.edit() for fault in faults if fault.path == path)) for path in paths
    }
    alone = len(faults) == 1
    failing = faults[0].failing if alone else tuple(sorted(_runner(origin).failures(broken)))
    order = [failing[n] for n in draw.permutation(len(failing)).tolist()]
    kept = max(1, len(order) - int(hidden * len(order)))
    away = tuple(sorted(order[kept:]))
    files = {**origin.files, **broken}
    for path in origin.test_files if away else ():
        files[path] = _without(path, origin.files[path], away)
    every = _tests(origin)
    named = ", ".join(test.rpartition(".")[2] for test in order[:3])
    statement = f"Some tests of the package {origin.name} fail, among them {named}. Find and repair what is wrong."
    passing = tuple(test for test in every if test not in failing)
    return ShellTask(origin, faults, broken, files, tuple(failing), passing, away, statement)


@cache
def _runner(origin: Repository) -> Runner:
    return Runner(origin)  # compiled once


def _tests(origin: Repository) -> list[str]:
    tests: list[str] = raw_table()["repositories"][origin.name]["tests"]
    return tests


def _without(path: str, text: str, away: tuple[str, ...]) -> str:
    """A test file without some tests, and without classes that have none left."""
    module = path.removesuffix(".py").replace("/", ".")
    lines = text.splitlines(keepends=True)
    gone: set[int] = set()
    for group in ast.parse(text).body:
        if isinstance(group, ast.ClassDef):
            tests = [node for node in group.body if isinstance(node, ast.FunctionDef)]
            mine = [node for node in tests if f"{module}.{group.name}.{node.name}" in away]
            for node in [group] if len(mine) == len(tests) else mine:
                assert node.end_lineno is not None
                gone.update(range(node.lineno - 1, node.end_lineno))
                following = node.end_lineno
                while following < len(lines) and not lines[following].strip() and following + 1 < len(lines):
                    gone.add(following)
                    following += 1
    return "".join(line for number, line in enumerate(lines) if number not in gone)


def repairs(task: ShellTask, but: Collection[str] = ()) -> list[str]:
    """One shell command a fault, which restores its lines, the last of a file first; none for the files in ``but``."""
    commands = []
    for path, text in task.broken.items():
        if path in but:
            continue
        mine = sorted((fault for fault in task.faults if fault.path == path), key=lambda one: one.start)
        shift, places = 0, []
        for fault in mine:
            places.append((fault, fault.start + shift))
            shift += len(fault.text) - (fault.end - fault.start)
        for fault, start in reversed(places):
            commands.append(_restored(path, task.origin.files[path], text, fault, start))
    return commands


def _restored(path: str, right: str, broken: str, fault: Fault, start: int) -> str:
    first = right.count("\n", 0, fault.start)
    last = right.count("\n", 0, fault.end)
    lines = right.splitlines()[first : last + 1]
    from_line = broken.count("\n", 0, start) + 1
    to_line = broken.count("\n", 0, start + len(fault.text)) + 1
    text = "\\\n".join(line.replace("\\", "\\\\") for line in lines).replace("'", "'\\''")
    # Without a backslash before them, sed drops the blanks at the start of the first line.
    blank = "\\" if text[:1] == " " else ""
    return f"sed -i '{from_line},{to_line}c\\\n{blank}{text}' {path}"
