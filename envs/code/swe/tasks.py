"""A task: a repository's folder with an instance's patches."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agentgym.envs.code.swe.formats import Instance
from agentgym.envs.code.swe.patches import PatchFails, apply, touched
from agentgym.errors import InvalidParameter

__all__ = ["CodeTask", "folder_of", "is_test", "read_task"]

# Folders that are not part of a repository's contents, or that may hold the solution: history, caches, builds.
_CACHES = "__pycache__ .pytest_cache .mypy_cache .ruff_cache .hypothesis .tox .nox .venv venv node_modules .eggs"
LEFT_OUT = frozenset(f".git .hg .svn .bzr {_CACHES} .idea .vscode".split())
BACKUPS = (".pyc", ".pyo", ".orig", ".rej", ".bak", "~")
MOST_FILES, MOST_BYTES = 20_000, 48 << 20
_TEST_FILE = re.compile(r"test_.*\.py|.*_test\.py|tests\.py|conftest\.py")


@dataclass(frozen=True)
class CodeTask:
    """A task.

    Attributes:
        instance: the row.
        start: what the agent starts from, texts by path; bytes that are no UTF-8 as surrogates.
        gold: the files with the solution.
        tests: what is laid over an agent's work before the tests run; None: removed.
    """

    instance: Instance
    start: dict[str, str]
    gold: dict[str, str]
    tests: dict[str, str | None]

    @cached_property
    def solution(self) -> dict[str, str | None]:
        """The files that the solution changes, as they are with it."""
        return touched(self.start, self.gold)

    @property
    def size(self) -> int:
        """MiB of the files, rounded up."""
        return (sum(map(len, self.start.values())) >> 20) + 1

    def graded(self, files: Mapping[str, str]) -> dict[str, str]:
        """Files with the tests laid over."""
        laid = {**files, **self.tests}
        return {path: text for path, text in laid.items() if text is not None}


def is_test(path: str) -> bool:
    """Whether a path looks like that of a test or of its data."""
    *folders, name = path.split("/")
    return "tests" in folders or folders[:1] == ["test"] or _TEST_FILE.fullmatch(name) is not None


def folder_of(instance: Instance, folders: Path) -> Path:
    """The folder of a task's repository.

    Raises:
        InvalidParameter: there is none.
    """
    folder = folders / instance.id
    if not folder.is_dir():
        raise InvalidParameter(
            f"Task {instance.id} has no folder {folder}: check its repository out there, at base_commit, "
            "or name the tasks that you have by instances=[...]."
        )
    return folder


def read_task(instance: Instance, folders: Path) -> CodeTask:
    """Read a task's folder and apply its patches.

    A folder of SWE-smith may be at ``base_commit``, which has the fault, or at the commit before.

    Raises:
        InvalidParameter: there is no folder, it is too large, or a patch does not apply.
    """
    found = _read_folder(instance.id, folder_of(instance, folders))
    if instance.form == "swe-bench":
        start, gold = found, _applied(instance, "patch", instance.patch, found)
        with_tests = _applied(instance, "test_patch", instance.test_patch, found)
    else:
        try:
            start, gold = found, apply(found, instance.patch, reverse=True)
        except PatchFails:
            start, gold = _applied(instance, "patch", instance.patch, found, "nor does its reverse"), found
        with_tests = gold
    # What the solution changes is the agent's to change, whatever its name.
    own = set(touched(start, gold))
    tests: dict[str, str | None] = {
        path: text for path, text in with_tests.items() if is_test(path) and path not in own
    }
    tests |= touched(found, with_tests) if instance.form == "swe-bench" else {}
    ids = (*instance.failing, *instance.passing)
    named = {test.split("::")[0] for test in ids if "::" in test}
    tests |= {path: with_tests[path] for path in named if path in with_tests}
    return CodeTask(instance, start, gold, tests)


def _applied(instance: Instance, field: str, patch: str, files: dict[str, str], also: str = "") -> dict[str, str]:
    try:
        return apply(files, patch)
    except PatchFails as error:
        raise InvalidParameter(
            f"Task {instance.id}: {field} does not apply to its folder{', ' + also if also else ''}: {error}. "
            "The folder must be a checkout of base_commit."
        ) from error


def _read_folder(name: str, folder: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    total = 0
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(each for each in folders if each not in LEFT_OUT and not each.endswith(".egg-info"))
        for each in sorted(names):
            path = Path(place) / each
            # In a worktree or submodule .git is a file, which tells where the history is.
            if each == ".git" or each.endswith(BACKUPS) or path.is_symlink() or not path.is_file():
                continue
            total += path.stat().st_size
            if len(files) >= MOST_FILES or total > MOST_BYTES:
                raise InvalidParameter(
                    f"{folder} has over {MOST_FILES} files or {MOST_BYTES >> 20} MiB: leave out what no test needs."
                )
            files[path.relative_to(folder).as_posix()] = path.read_bytes().decode("utf-8", "surrogateescape")
    if not files:
        raise InvalidParameter(f"Task {name}: its folder {folder} is empty.")
    return files
