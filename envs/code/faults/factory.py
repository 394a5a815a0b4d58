"""Makes the table of faults that ships with the package.

``python -m agentgym.envs.code.faults.factory`` writes it anew, from nothing but the repositories and this code.

Edits by which results depend on the order of a set, which Python's hash seed decides, are left out: a test that
fails now and then proves neither a fault nor a repair.
"""

import ast
import gzip
import hashlib
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from importlib.resources import files
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from agentgym.envs.code.faults.edits import OPERATORS, Edit, apply, edits, removals
from agentgym.envs.code.faults.lines import line_words, local_names
from agentgym.envs.code.faults.running import KINDS, Failure, Runner, tried
from agentgym.envs.code.faults.steadiness import Site, site, unsteady
from agentgym.envs.code.repositories import Repository, names, repository
from agentgym.seeding import stream

__all__ = ["HELD_OUT_OPERATORS", "POOL", "build", "fingerprint"]

HELD_OUT_OPERATORS = ("bool", "length")  # absent from training, as faults and as decoys
A_REPOSITORY = 44  # tasks of a repository, besides those with held-out operators
POOL = 20  # candidates of a task: the repair and decoys
PAIRS, PAIR_POOL = 8, 10  # tasks with two faults of a repository, and their candidates

Row = dict[str, Failure]


def fingerprint() -> str:
    """A digest of all repositories: a table of others is out of date."""
    digest = hashlib.sha256()
    for name in names():
        for path, text in repository(name).files.items():
            digest.update(f"{name}/{path}\n{text}".encode())
    return digest.hexdigest()[:16]


class _Mutant:
    """A fault that tests notice, with the edit that repairs it."""

    def __init__(self, path: str, fault: Edit, repair: Edit | None, source: str, row: Row) -> None:
        self.path, self.fault, self.repair, self.source, self.row = path, fault, repair, source, row


def mutants(origin: Repository, runner: Runner, odd: Set[Site] = frozenset()) -> list[_Mutant]:
    """All single faults by which some tests fail and some pass, and all odd ones, without duplicates."""
    found, seen = [], set()
    for path in origin.modules:
        text = origin.files[path]
        for fault in [*edits(path, text), *removals(path, text)]:
            source = apply(text, fault)
            if source in seen:
                continue
            seen.add(source)
            row = tried(runner, {path: source})
            if site(fault) not in odd and (not row or len(row) == len(runner.tests)):
                continue
            backs = (edit for edit in edits(path, source) if edit.operator == fault.operator)
            repair = next((edit for edit in backs if apply(source, edit) == text), None)
            found.append(_Mutant(path, fault, repair, source, row or {}))
    return found


def _signature(edit: Edit) -> tuple[Any, ...]:
    return edit.operator, edit.old, edit.new


def build(only: Sequence[str] | None = None, say: Any = lambda text: None) -> dict[str, Any]:
    """The whole table, as JSON values.

    Args:
        only: names of repositories; by default all.
        say: called with a line of progress for each repository.
    """
    chosen = list(only or names())
    odd = unsteady(chosen)
    runners = {name: Runner(repository(name)) for name in chosen}
    found = {name: mutants(repository(name), runners[name], odd) for name in chosen}
    # Odd ones are drawn with the others and then left out: no other task changes with them.
    tasks = {name: _steady(_sample(name, found[name]), odd) for name in chosen}
    found = {name: _steady(found[name], odd) for name in chosen}
    weights = _decoy_weights(chosen, tasks)
    table: dict[str, Any] = {"fingerprint": fingerprint(), "kinds": list(KINDS), "repositories": {}, "tasks": []}
    for name in chosen:
        origin, runner = repository(name), runners[name]
        table["repositories"][name] = {
            "modules": origin.modules, "functions": runner.functions, "tests": runner.tests,
            "mutants": len(found[name]),
            "faults": [_plain_fault(mutant) for mutant in found[name]],
        }  # fmt: skip
        made = [_single(origin, runner, mutant, weights, odd) for mutant in tasks[name]]
        made += list(_pairs(origin, runner, tasks[name], weights, odd))
        table["tasks"] += [task for task in made if task is not None]
        say(f"{name}: {len(found[name])} mutants, {len(made)} tasks")
    return table


def _steady(found: Sequence[_Mutant], odd: Set[Site]) -> list[_Mutant]:
    return [mutant for mutant in found if site(mutant.fault) not in odd]


def _plain_fault(mutant: _Mutant) -> list[Any]:
    """A fault for the world of commands: where, what, and which tests it fails."""
    fault = mutant.fault
    return [fault.operator, fault.path, fault.start, fault.end, fault.text, fault.function, sorted(mutant.row)]


def _sample(name: str, found: Sequence[_Mutant]) -> list[_Mutant]:
    whole = [mutant for mutant in found if mutant.repair is not None]
    known = [mutant for mutant in whole if mutant.fault.operator not in HELD_OUT_OPERATORS]
    order = stream(0, "faults", name).permutation(len(known))[:A_REPOSITORY]
    return [known[n] for n in sorted(order.tolist())] + [m for m in whole if m.fault.operator in HELD_OUT_OPERATORS]


def _decoy_weights(chosen: Iterable[str], tasks: dict[str, list[_Mutant]]) -> dict[tuple[Any, ...], float]:
    """Weights by which decoys look like repairs, by operator and words: what repairs say over what can be said.

    Drawn evenly, decoys would betray the repair: a blind pick by operator would be right far more often than by chance.
    """
    repairs: Counter[tuple[Any, ...]] = Counter()
    offered: Counter[tuple[Any, ...]] = Counter()
    for name in chosen:
        for mutant in tasks[name]:
            assert mutant.repair is not None
            repairs[_signature(mutant.repair)] += 1
            offered.update(_signature(edit) for edit in _all_edits(repository(name), mutant.path, mutant.source))
    return {signature: (repairs[signature] + 0.02) / count for signature, count in offered.items()}


def _all_edits(origin: Repository, changed: str, source: str) -> list[Edit]:
    return [edit for path in origin.modules for edit in edits(path, source if path == changed else origin.files[path])]


def _single(
    origin: Repository, runner: Runner, mutant: _Mutant, weights: dict[Any, float], odd: Set[Site]
) -> dict[str, Any] | None:
    assert mutant.repair is not None
    ran = {name for failure in mutant.row.values() for name in (failure.function, *failure.others)}
    sources = {**{path: origin.files[path] for path in origin.modules}, mutant.path: mutant.source}
    held = mutant.fault.operator in HELD_OUT_OPERATORS
    draw = stream(0, "decoys", origin.name, mutant.fault.path, mutant.fault.start, mutant.fault.text)
    candidates, rows = [mutant.repair], [mutant.row, {}]
    for edit in _drawn(origin, mutant, weights, ran, held, draw):
        changed = {mutant.path: mutant.source, edit.path: apply(sources[edit.path], edit)}
        row = tried(runner, changed) if site(edit) not in odd else None
        if row is not None:
            candidates.append(edit)
            rows.append(row)
        if len(candidates) == POOL:
            break
    if len(candidates) < POOL:
        return None
    keyed: dict[tuple[int, ...], Row] = {(): rows[0]} | {(n,): row for n, row in enumerate(rows[1:])}
    return _task(origin, runner, [mutant.fault], sources, candidates, keyed)


def _drawn(
    origin: Repository, mutant: _Mutant, weights: dict[Any, float], ran: set[str], held: bool, draw: Any
) -> list[Edit]:
    """Decoys, drawn by their weights, alternately inside and outside of functions that the failing tests run."""
    every = [
        edit for edit in _all_edits(origin, mutant.path, mutant.source)
        if edit != mutant.repair and (held or edit.operator not in HELD_OUT_OPERATORS)
    ]  # fmt: skip
    parts = []
    for inside in (True, False):
        mine = [edit for edit in every if (_full_name(edit) in ran) == inside]
        keys = draw.random(len(mine)) ** (
            1 / np.array([weights[_signature(edit)] for edit in mine] or [1.0])[: len(mine)]
        )
        parts.append([mine[n] for n in np.argsort(-keys, kind="stable").tolist()])
    first, second = parts
    shared = min(len(first), len(second))
    mixed = [edit for pair in zip(first[:shared], second[:shared], strict=True) for edit in pair]
    return [*mixed, *first[shared:], *second[shared:]]


def _full_name(edit: Edit) -> str:
    return f"{edit.path.rpartition('/')[2].removesuffix('.py')}.{edit.function}"


def _pairs(
    origin: Repository, runner: Runner, tasks: Sequence[_Mutant], weights: dict[Any, float], odd: Set[Site]
) -> Iterable[dict[str, Any]]:
    """Tasks with two faults in different functions, both of which tests notice beside the other."""
    known = [mutant for mutant in tasks if mutant.fault.operator not in HELD_OUT_OPERATORS]
    draw = stream(0, "pairs", origin.name)
    made = 0
    for n in draw.permutation(len(known) ** 2).tolist():
        one, other = known[n // len(known)], known[n % len(known)]
        if made == PAIRS:
            return
        if n // len(known) < n % len(known) and one.fault.function != other.fault.function:
            task = _double(origin, runner, one, other, weights, draw, odd)
            if task is not None:
                made += 1
                yield task


def _double(
    origin: Repository,
    runner: Runner,
    one: _Mutant,
    other: _Mutant,
    weights: dict[Any, float],
    draw: Any,
    odd: Set[Site],
) -> dict[str, Any] | None:
    faults = (one.fault, other.fault)
    sources = {path: apply(origin.files[path], *(f for f in faults if f.path == path)) for path in origin.modules}
    repairs = [_repair_in(origin, sources, faults, number) for number in (0, 1)]
    base = tried(runner, sources)
    if base is None or None in repairs or set(base) <= set(one.row) or set(base) <= set(other.row):
        return None
    ran = {name for failure in base.values() for name in (failure.function, *failure.others)}
    first, second = repairs
    assert first is not None
    assert second is not None
    candidates = [first, second]
    both = _Mutant("", one.fault, first, "", base)
    spare = [edit for path in origin.modules for edit in edits(path, sources[path])]
    keys = draw.random(len(spare)) ** (1 / np.array([weights.get(_signature(edit), 1e-6) for edit in spare]))
    for n in np.argsort(-keys, kind="stable").tolist():
        edit = spare[n]
        near = len([c for c in candidates if _full_name(c) in ran]) * 2 <= len(candidates)
        if edit in repairs or site(edit) in odd or edit.operator in HELD_OUT_OPERATORS:
            continue
        if (_full_name(edit) in ran) != near:
            continue
        if tried(runner, _changed(sources, [edit])) is not None:
            candidates.append(edit)
        if len(candidates) == PAIR_POOL:
            break
    if len(candidates) < PAIR_POOL:
        return None
    rows: dict[tuple[int, ...], Row] = {(): both.row}
    for chosen in [*((n,) for n in range(PAIR_POOL)), *combinations(range(PAIR_POOL), 2)]:
        if _disjoint([candidates[n] for n in chosen]):
            row = tried(runner, _changed(sources, [candidates[n] for n in chosen]))
            if row is not None:
                rows[tuple(chosen)] = row
    return _task(origin, runner, list(faults), sources, candidates, rows)


def _repair_in(origin: Repository, sources: dict[str, str], faults: Sequence[Edit], number: int) -> Edit | None:
    """The edit of a program with two faults that leaves only the other one."""
    path = faults[number].path
    goal = apply(origin.files[path], *(f for n, f in enumerate(faults) if n != number and f.path == path))
    found = (edit for edit in edits(path, sources[path]) if edit.operator == faults[number].operator)
    return next((edit for edit in found if apply(sources[path], edit) == goal), None)


def _changed(sources: dict[str, str], chosen: Sequence[Edit]) -> dict[str, str]:
    return {path: apply(text, *(edit for edit in chosen if edit.path == path)) for path, text in sources.items()}


def _disjoint(chosen: Sequence[Edit]) -> bool:
    spans = sorted((edit.path, edit.start, edit.end) for edit in chosen)
    return all(one[0] != other[0] or one[2] < other[1] for one, other in pairwise(spans))


def _task(
    origin: Repository, runner: Runner, faults: Sequence[Edit], sources: dict[str, str], candidates: Sequence[Edit],
    rows: dict[tuple[int, ...], Row],
) -> dict[str, Any]:  # fmt: skip
    """A task as JSON values. Modules, functions and tests are numbers; lines are words."""
    functions = {name: number for number, name in enumerate(runner.functions)}
    tests = {name: number for number, name in enumerate(runner.tests)}
    short = {name.partition(".")[2]: number for name, number in functions.items()}
    lines = {}
    for edit in candidates:
        tree = ast.parse(sources[edit.path])
        around = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == edit.function)
        shown = line_words(sources[edit.path].splitlines()[edit.line - 1], local_names(around), short)
        number = origin.modules.index(edit.path)
        lines[f"{number}:{edit.line}"] = " ".join(f"@{short[w[1:]]}" if w[0] == "@" else w for w in shown)

    def coded(row: Row) -> list[list[Any]]:
        return [
            [tests[name], KINDS.index(f.kind), functions.get(f.function, -1), [functions[o] for o in f.others]]
            for name, f in row.items()
        ]

    return {
        "repository": origin.name,
        "faults": [[f.operator, f.path, f.start, f.end, f.text, f.function] for f in faults],
        "edits": [
            [origin.modules.index(e.path), e.line, functions[_full_name(e)], OPERATORS.index(e.operator),
             " ".join(e.old), " ".join(e.new), e.start, e.end, e.text]
            for e in candidates
        ],
        "lines": lines,
        "rows": {",".join(map(str, key)): coded(row) for key, row in rows.items()},
    }  # fmt: skip


def main() -> None:
    """Build the table and write it beside this file."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))  # an edited program may fill the memory
    began = time.process_time()
    table = build(sys.argv[1:] or None, say=print)
    data = gzip.compress(json.dumps(table, separators=(",", ":"), sort_keys=True).encode(), mtime=0)
    target = str(files("agentgym.envs.code") / "faults" / "table.json.gz")
    with open(target, "wb") as file:
        file.write(data)
    seconds = time.process_time() - began
    print(f"{len(table['tasks'])} tasks, {len(data)} bytes, {seconds:.0f} s, {hashlib.sha256(data).hexdigest()[:16]}")


if __name__ == "__main__":
    main()
