"""The tasks of the shipped table, by split."""

import gzip
import json
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from agentgym.envs.code.faults.factory import HELD_OUT_OPERATORS, fingerprint
from agentgym.envs.code.repositories import HELD_OUT
from agentgym.errors import CorruptFile, InvalidParameter

__all__ = ["Candidate", "Outcome", "Task", "misleading_faults", "raw_table", "tasks"]


class Outcome(NamedTuple):
    """A failing test: the kind of failure, the function named with it (-1: none), and others that ran."""

    kind: int
    function: int
    others: tuple[int, ...]


class Candidate(NamedTuple):
    """An edit on offer: module and line, function, operator, and the change in words."""

    module: int
    line: int
    function: int
    operator: int
    old: str
    new: str


@dataclass(frozen=True)
class Task:
    """A faulty repository, edits of it, and the results of all tests under every edit.

    Attributes:
        repository: its name.
        operators: of its faults.
        modules, functions, tests: how many there are, numbered from 0.
        home: the module of each function.
        candidates: the edits; the first ``len(operators)`` are the repairs.
        lines: words of the lines that have candidates, by (module, line); "@3" stands for function 3.
        rows: failing tests by the set of edits in place, sorted; sets that are missing are not offered.
    """

    repository: str
    operators: tuple[str, ...]
    modules: int
    functions: int
    tests: int
    home: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    lines: dict[tuple[int, int], tuple[str, ...]]
    rows: dict[tuple[int, ...], dict[int, Outcome]]

    @property
    def misleading(self) -> float:
        """The share of the failing tests whose failure names a function that has no fault, or none."""
        faulty = {edit.function for edit in self.candidates[: len(self.operators)]}
        named = [outcome.function for outcome in self.rows[()].values()]
        return sum(function not in faulty for function in named) / len(named)


@cache
def raw_table() -> dict[str, Any]:
    """The shipped table.

    Raises:
        CorruptFile: it is of other repositories than those at hand.
    """
    data = (files("agentgym.envs.code") / "faults" / "table.json.gz").read_bytes()
    table: dict[str, Any] = json.loads(gzip.decompress(data))
    if table["fingerprint"] != fingerprint():
        raise CorruptFile(
            "The table of faults is not of these repositories: make it anew with  python -m "
            "agentgym.envs.code.faults.factory"
        )
    return table


@cache
def tasks(split: str, faults: int, new_operators: bool, misleading: float = 0.0) -> tuple[Task, ...]:
    """The tasks of a split.

    Args:
        split: "train"; "seen": other faults in the repositories of training; "unseen": repositories held out.
        faults: the number of faults, 1 or 2.
        new_operators: tasks whose fault is of a held-out kind instead; "train" and "seen" then have the same ones.
        misleading: only tasks with at least this :attr:`Task.misleading`.

    Raises:
        InvalidParameter: none is so misleading.
    """
    if misleading:
        found = tuple(task for task in tasks(split, faults, new_operators) if task.misleading >= misleading)
        if not found:
            raise InvalidParameter(
                f"No task of the split {split!r} with {faults} faults has misleading >= {misleading:g}: try 0.5."
            )
        return found
    table = raw_table()
    chosen = []
    for raw in table["tasks"]:
        held = any(fault[0] in HELD_OUT_OPERATORS for fault in raw["faults"])
        if len(raw["faults"]) == faults and held == new_operators and _in_split(raw, split, new_operators):
            chosen.append(_task(raw, table["repositories"][raw["repository"]]))
    return tuple(chosen)


@cache
def misleading_faults(least: float) -> frozenset[tuple[str, str, int, int, str]]:
    """Single faults with at least this :attr:`Task.misleading`: repository, path, start, end and new text of each.

    What the failures of a fault name is known of the 1,015 that are tasks of the table.
    """
    table = raw_table()
    return frozenset(
        (raw["repository"], *raw["faults"][0][1:5]) for raw in table["tasks"]
        if len(raw["faults"]) == 1 and _task(raw, table["repositories"][raw["repository"]]).misleading >= least
    )  # fmt: skip


def _in_split(raw: dict[str, Any], split: str, new_operators: bool) -> bool:
    if (raw["repository"] in HELD_OUT) != (split == "unseen"):
        return False
    if split == "unseen" or new_operators:
        return True
    # A fifth of the faults is held out: by a middle byte of the digest, which mixes all of the text.
    digest = zlib.crc32(json.dumps([raw["repository"], *raw["faults"]]).encode()) >> 11
    return (digest % 5 == 0) == (split == "seen")


def _task(raw: dict[str, Any], about: dict[str, Any]) -> Task:
    homes = [path.rpartition("/")[2].removesuffix(".py") for path in about["modules"]]
    return Task(
        repository=raw["repository"],
        operators=tuple(fault[0] for fault in raw["faults"]),
        modules=len(homes),
        functions=len(about["functions"]),
        tests=len(about["tests"]),
        home=tuple(homes.index(name.partition(".")[0]) for name in about["functions"]),
        candidates=tuple(Candidate(*edit[:6]) for edit in raw["edits"]),
        lines={_pair(place): tuple(text.split()) for place, text in raw["lines"].items()},
        rows={
            tuple(map(int, key.split(","))) if key else (): {
                test: Outcome(kind, function, tuple(others)) for test, kind, function, others in row
            }
            for key, row in raw["rows"].items()
        },
    )


def _pair(place: str) -> tuple[int, int]:
    module, _, line = place.partition(":")
    return int(module), int(line)
