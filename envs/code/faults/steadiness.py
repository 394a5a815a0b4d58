"""Which edits give other results of tests under another hash seed, that is, where the order of a set matters."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from agentgym.envs.code.faults.edits import Edit, apply, edits, removals
from agentgym.envs.code.faults.running import Runner, tried
from agentgym.envs.code.repositories import repository

__all__ = ["HASH_SEEDS", "Site", "print_rows", "site", "unsteady"]

HASH_SEEDS = range(16)

Site = tuple[str, str, str, tuple[str, ...], tuple[str, ...]]


def site(edit: Edit) -> Site:
    """What stays of an edit where others move it: its function and words."""
    return edit.path, edit.function, edit.operator, edit.old, edit.new


def unsteady(chosen: Sequence[str]) -> set[Site]:
    """Edits of the repositories by which the tests give other results under another hash seed."""
    command = [
        sys.executable,
        "-c",
        f"from agentgym.envs.code.faults.steadiness import print_rows; print_rows({list(chosen)!r})",
    ]
    seen: dict[tuple[Any, ...], set[str]] = {}
    for seed in HASH_SEEDS:
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        for place, (path, function, operator, old, new), row in json.loads(done.stdout):
            seen.setdefault((*place, (path, function, operator, tuple(old), tuple(new))), set()).add(row)
    return {key[-1] for key, rows in seen.items() if len(rows) > 1}


def print_rows(chosen: Sequence[str]) -> None:
    """Every edit of the repositories with the failures that it makes, as JSON, for :func:`unsteady`."""
    rows = []
    for name in chosen:
        origin = repository(name)
        runner = Runner(origin)
        for path in origin.modules:
            text = origin.files[path]
            for edit in [*edits(path, text), *removals(path, text)]:
                row = tried(runner, {path: apply(text, edit)})
                if row is not None:  # the guards stop a run by its time, which the hash seed does not decide
                    rows.append(((edit.start, edit.end, edit.text), site(edit), repr(sorted(row.items()))))
    print(json.dumps(rows))
