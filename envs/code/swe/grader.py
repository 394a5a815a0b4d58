"""Grades work on a task: a fresh sandbox, the task's tests laid over it, and results that are hard to forge.

The work runs in the process that runs its tests, as everywhere with pytest, so it could lie about them. Against this
stand: work is refused that touches tests, runners or their settings, or that newly uses what reaches into a running
process; the mark of a result is a secret of the run; and among the tests are some of the grader's own, new in each run,
whose right results only the grader knows.
"""

import ast
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentgym.envs.code.sandbox import Interpreter, Limits, SandboxUnavailable, Session
from agentgym.envs.code.shell.grader import Verdict
from agentgym.envs.code.swe import runner
from agentgym.envs.code.swe.tasks import CodeTask, is_test

__all__ = ["Settings", "grade", "problems_of", "refused"]

_CONFIGURATION = "pytest.ini .pytest.ini tox.ini setup.cfg pyproject.toml noxfile.py setup.py manage.py"
_STARTUP = "conftest.py sitecustomize.py usercustomize.py"
_BINARY = (".pth", ".so", ".pyd", ".pyc", ".egg-link")
_RUNNERS = "pytest _pytest pluggy py iniconfig exceptiongroup"
# By these a module could reach the runner in its process. Only new uses count: repositories use some of them.
_REACHING_MODULES = "unittest pytest _pytest pluggy gc ctypes atexit faulthandler posix"
_REACHING_NAMES = "_exit _getframe __subclasses__ settrace setprofile addaudithook _current_frames"
STEERING = frozenset(f"{_CONFIGURATION} {_STARTUP}".split())
RUNNERS = frozenset(_RUNNERS.split())
MODULES, NAMES = frozenset(_REACHING_MODULES.split()), frozenset(_REACHING_NAMES.split())
STRINGS = NAMES | MODULES - {"gc", "posix"}
OWN_TESTS = 8


@dataclass(frozen=True)
class Settings:
    """How tests are run.

    Attributes:
        level: of the sandbox.
        python: the interpreter; None: the one that runs this process, without packages.
        seconds: for all tests of a task.
        memory: MiB, besides the files.
    """

    level: str = "auto"
    python: Interpreter | None = None
    seconds: float = 300.0
    memory: int = 1024

    def limits(self, task: CodeTask, tests: int = 0) -> Limits:
        """Limits of a sandbox for a task."""
        disk = 64 + 2 * task.size
        return Limits(
            wall=self.seconds, cpu=int(self.seconds) + 1, memory=self.memory + disk, processes=64,
            file_size=32, disk=disk, output=20_000 + 2 * tests,
        )  # fmt: skip


@dataclass(frozen=True)
class Run:
    """Results of tests by name as letters of :mod:`agentgym.envs.code.swe.runner`; None: there are none, and why."""

    letters: dict[str, str] | None
    why: str
    seconds: float
    level: str


def refused(task: CodeTask, changed: Mapping[str, str | None], odd: Sequence[str] = ()) -> str:
    """Why work is not graded at all; "" if it is.

    Args:
        task: the task.
        changed: the text files that differ from the start; None: removed.
        odd: paths of links, binaries and other files that are no text.
    """
    for path, text in sorted(changed.items()):
        name = path.rpartition("/")[2]
        if path in task.solution and path not in task.tests:
            pass  # the solution changes it, too
        elif is_test(path) or path in task.tests:
            return f"it changes the tests ({path})"
        elif name in STEERING or name.endswith(_BINARY):
            return f"it changes how tests run ({path})"
        elif path.endswith(".py") and _shadows(path, task.start):
            return f"it hides a module that tests need ({path})"
        if text is not None and path.endswith(".py"):
            allowed = _reaching(task.start.get(path)) | _reaching(task.gold.get(path))
            if new := sorted(_reaching(text) - allowed):
                return f"{path} newly uses {new[0]}, which could reach the grader"
    for path in odd:
        if path in task.start or path in task.tests or path.endswith(_BINARY) or is_test(path):
            return f"it holds something that is no text file ({path})"
    return ""


def _shadows(path: str, start: Mapping[str, str]) -> bool:
    """Whether a new file makes a package of a name that the interpreter or the runner has."""
    root = "src/" if path.startswith("src/") else ""
    top = path.removeprefix(root).split("/")[0]
    known = top.removesuffix(".py") in RUNNERS | sys.stdlib_module_names
    return known and not any(other == root + top or other.startswith(f"{root}{top}/") for other in start)


def _reaching(text: str | None) -> set[str]:
    """What in a module could reach the process that runs it."""
    try:
        tree = ast.parse(text or "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()  # the tests will fail
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").partition(".")[0]} & MODULES if not node.level else set()
            found |= {name.name for name in node.names} & NAMES
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} & NAMES
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} & STRINGS  # getattr, importlib, sys.modules
    return found


def grade(
    task: CodeTask, changed: Mapping[str, str | None], odd: Sequence[str] = (), settings: Settings | None = None
) -> Verdict:
    """Run the task's tests on an agent's work.

    It is resolved if all of FAIL_TO_PASS pass, and all of PASS_TO_PASS pass or are skipped, as in SWE-bench
    (swebench/harness/grading.py). If there is no result, or one that the grader's own tests disprove, the solution is
    graded in the same way: if that does not pass either there is no verdict, otherwise the work has failed.

    Args:
        task: the task.
        changed: the text files that differ from the start; None: removed.
        odd: paths of what is no text file.
        settings: of the run.
    """
    settings = settings or Settings()
    if problem := refused(task, changed, odd):
        return Verdict(False, f"refused: {problem}", {})
    files = {path: text for path, text in {**task.start, **changed}.items() if text is not None}
    try:
        run = run_tests(task, files, settings)
        if run.letters is None:
            control = run_tests(task, task.gold, settings)
            failed = [] if control.letters is None else _failed(task, control.letters)
            if control.letters is None or failed:
                why = control.why or f"the solution fails {failed[0]}"
                return Verdict(None, f"the grader does not work here: {why}", {}, run.seconds, run.level)
            return Verdict(False, f"the tests ended early: {run.why}", {}, run.seconds, run.level)
    except SandboxUnavailable as refusal:
        return Verdict(None, str(refusal), {})
    failed = _failed(task, run.letters)
    passed = {name: name not in failed for name in run.letters}
    reason = f"{len(failed)} of {len(passed)} tests fail" if failed else ""
    return Verdict(not failed, reason, passed, run.seconds, run.level)


def _failed(task: CodeTask, letters: Mapping[str, str]) -> list[str]:
    failing = [name for name in task.instance.failing if letters[name] != "1"]
    return [*failing, *(name for name in task.instance.passing if letters[name] not in "1s")]


def run_tests(task: CodeTask, files: Mapping[str, str], settings: Settings) -> Run:
    """Run the task's tests on files, in a fresh sandbox.

    Raises:
        SandboxUnavailable: there is none, or the files do not fit.
    """
    tests = [*task.instance.failing, *task.instance.passing]
    mark, module = secrets.token_hex(16), f"test_{secrets.token_hex(6)}"
    right = "".join(secrets.choice("01") for _ in range(OWN_TESTS - 2)) + "10"
    own = "\n".join(f"    def test_{n}(self): self.assertEqual(1, {letter})" for n, letter in enumerate(right))
    between, head = ("::", f"{module}.py") if task.instance.runner == "pytest" else (".", module)
    names = list(tests)
    for n in range(OWN_TESTS):  # the last two, one of which fails, come after all tests
        at = secrets.randbelow(len(tests) + 1) if n < OWN_TESTS - 2 else len(names)
        names.insert(at, f"{head}{between}T{between}test_{n}")
    program, asked = f"run_{module}.py", f"{module}.json"
    laid = {
        **task.graded(files), f"{module}.py": f"from unittest import TestCase\nclass T(TestCase):\n{own}\n",
        program: Path(runner.__file__).read_text(encoding="utf-8") + "\n\nmain()\n",
        asked: json.dumps([mark, task.instance.runner, names]),
    }  # fmt: skip
    with Session(laid, settings.limits(task, len(names)), settings.level, python=settings.python) as session:
        result = session.run(f"python3 -B {program} {asked}")
        letters = next((line[len(mark) :] for line in result.output.splitlines() if line.startswith(mark)), None)
        how = {"exit": f"exit status {result.code}", "wall": f"out of {settings.seconds:g} s", "output": "a flood"}
        why = how.get(result.ended, "out of memory")
        if letters is None:
            said = result.output.strip().splitlines()
            return Run(None, ", ".join([why, *(line[:200] for line in said[-1:])]), result.seconds, session.level)
        found = dict(zip(names, letters, strict=True))
        if any(found[f"{head}{between}T{between}test_{n}"] != letter for n, letter in enumerate(right)):
            return Run(None, "the results of the grader's own tests are wrong", result.seconds, session.level)
        return Run({name: found[name] for name in tests}, "", result.seconds, session.level)


def problems_of(task: CodeTask, settings: Settings | None = None) -> list[str]:
    """Why a task cannot be graded on this machine; empty if it can. Runs its tests twice.

    Raises:
        SandboxUnavailable: there is no sandbox, or the files do not fit.
    """
    settings = settings or Settings()
    found = []
    if problem := refused(task, {path: text for path, text in task.solution.items() if path not in task.tests}):
        found.append(f"its solution is refused: {problem}")
    right, start = run_tests(task, task.gold, settings), run_tests(task, task.start, settings)
    if right.letters is None:
        return [*found, f"its tests do not come to an end with the solution: {right.why}"]
    failed = _failed(task, right.letters)
    found += [
        f"{name} {'is not found: no such test, or it cannot be imported' if letter == '-' else 'fails'} (solution)"
        for name, letter in right.letters.items() if name in failed
    ]  # fmt: skip
    if start.letters is None:
        return [*found, f"its tests do not come to an end at the start: {start.why}"]
    found += [
        f"{name} passes at the start (FAIL_TO_PASS)" for name in task.instance.failing if start.letters[name] == "1"
    ]
    found += [
        f"{name} fails at the start (PASS_TO_PASS)"
        for name in task.instance.passing if start.letters[name] not in "1s" and right.letters[name] in "1s"
    ]  # fmt: skip
    return found
