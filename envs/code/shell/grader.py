"""Grades a repository by hidden tests: a fresh sandbox, fresh tests, a verdict that the graded code cannot write."""

import ast
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentgym.envs.code.repositories import Repository
from agentgym.envs.code.sandbox import Limits, SandboxUnavailable, Session

__all__ = ["Verdict", "grade", "refused"]

LIMITS = Limits(wall=60.0, cpu=40, memory=512, processes=16, disk=32, output=20_000)

# What a repair may import and what it must not touch: nothing by which it could reach the grader. The bundled
# repositories use none of it.
_ALLOWED = (
    "math itertools functools collections fractions dataclasses typing re heapq bisect string operator decimal "
    "statistics datetime copy enum abc numbers random textwrap"
)
_FORBIDDEN = (
    "eval exec compile open input breakpoint globals locals vars getattr setattr delattr exit quit memoryview super "
    "type object __import__ __builtins__"
)
ALLOWED, FORBIDDEN = frozenset(_ALLOWED.split()), frozenset(_FORBIDDEN.split())
_PROGRAM = """
import importlib, os, random, signal, sys, unittest
mark, seconds, order = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
names = sys.argv[4:]
del sys.argv[1:]
sys.path.insert(0, os.getcwd())
def late(*_):
    raise TimeoutError("late")
signal.signal(signal.SIGALRM, late)
results = {}
random.Random(order).shuffle(names) if order else None
for name in names:
    module, group, test = name.rsplit(".", 2)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        case = getattr(importlib.import_module(module), group)(test)
        outcome = unittest.TestResult()
        case.run(outcome)
        results[name] = outcome.testsRun == 1 and outcome.wasSuccessful()
    except BaseException:
        results[name] = False
    signal.setitimer(signal.ITIMER_REAL, 0)
import json
sys.__stdout__.write("\\n" + mark + json.dumps(results) + "\\n")
sys.__stdout__.flush()
"""


@dataclass(frozen=True)
class Verdict:
    """The result of grading.

    Attributes:
        resolved: whether all tests passed; None if there is no verdict, which is no failure of the graded code.
        reason: why it was not resolved, or why there is no verdict; "" if it was resolved.
        passed: each test's result; empty if the tests were not run.
        seconds: of the tests' run.
        level: of the sandbox.
    """

    resolved: bool | None
    reason: str
    passed: dict[str, bool]
    seconds: float = 0.0
    level: str = ""


def refused(origin: Repository, files: Mapping[str, str], odd: Sequence[str], started: Mapping[str, str]) -> str:
    """Why a working folder is not graded at all: it touches the tests or the grader; "" if it does not.

    Args:
        origin: the repository.
        files: its text files now.
        odd: paths that are no text files.
        started: the text files that the agent started from.
    """
    package = f"{origin.name}/"
    for path in sorted(set(files) | set(started)):
        if files.get(path) == started.get(path):
            continue
        if path.startswith("tests/"):
            return f"it changes the tests ({path})"
        name = path.rpartition("/")[2]
        python = name.endswith((".py", ".pth", ".so", ".cfg", ".toml", ".ini"))
        if python and not (path.startswith(package) and name.endswith(".py")):
            return f"it adds a file that could change how tests run ({path})"
        if (
            path.startswith(package)
            and name.endswith(".py")
            and (problem := _reaches(files.get(path, ""), origin.name))
        ):
            return f"{path} {problem}"
    links = [path for path in odd if path.split("/")[0] in (origin.name, "tests")]
    return f"it holds something that is no text file ({links[0]})" if links else ""


def _reaches(text: str, package: str) -> str:
    """What in a module could reach the grader; "" if there is nothing."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # the tests will fail
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.Import):
            modules = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [package if node.level else node.module or ""]
        for module in modules:
            if module.partition(".")[0] not in ALLOWED | {package}:
                return f"imports {module}"
        if isinstance(node, ast.Name) and node.id in FORBIDDEN:
            return f"uses {node.id}"
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            return f"reaches for .{node.attr}"
        names = [name.name for name in node.names] if isinstance(node, ast.ImportFrom) else []
        if any(name.startswith("_") for name in names):
            return f"imports {', '.join(names)}"
    return ""


def grade(
    origin: Repository, files: Mapping[str, str], tests: Sequence[str], odd: Sequence[str] = (),
    started: Mapping[str, str] | None = None, level: str = "auto", seconds: float = 2.0, order: int = 0,
) -> Verdict:  # fmt: skip
    """Run tests of the original repository on a changed package.

    Args:
        origin: the repository without faults, whose tests are run.
        files: the text files of the agent's working folder; only those of the package are taken.
        tests: names of the tests to run.
        odd: paths in the working folder that are no text files.
        started: what the agent started from; by default the original files.
        level: of the sandbox.
        seconds: for each test.
        order: a number to shuffle the tests by (0: as given); sets are iterated in the order of this hash seed.
    """
    problem = refused(origin, files, odd, started or origin.files)
    if problem:
        return Verdict(False, f"refused: {problem}", {})
    package = f"{origin.name}/"
    fresh = {path: text for path, text in origin.files.items() if path.startswith("tests/")}
    fresh |= {path: text for path, text in files.items() if path.startswith(package)}
    try:
        passed, ended, spent, used = _run(fresh, tests, level, seconds, order)
        if passed is None:
            # Did the graded code end the run, or does the grader not work here?
            control, why, _, _ = _run(origin.files, tests, level, seconds, order)
            if control is None or not all(control.values()):
                return Verdict(None, f"the grader does not work here: {why}", {}, spent, used)
            return Verdict(False, f"the tests ended early: {ended}", {}, spent, used)
    except SandboxUnavailable as refusal:
        return Verdict(None, str(refusal), {})
    failed = [name for name in tests if not passed.get(name)]
    reason = f"{len(failed)} of {len(tests)} tests fail" if failed else ""
    return Verdict(not failed, reason, passed, spent, used)


def _run(
    files: Mapping[str, str], tests: Sequence[str], level: str, seconds: float, order: int
) -> tuple[dict[str, bool] | None, str, float, str]:
    """Results by test (None: the run did not come to its end), how it ended, its seconds, and the sandbox's level."""
    mark = secrets.token_hex(16)
    with Session(files, LIMITS, level) as session:
        # Not -I, which would ignore the hash seed: a verdict must not depend on the order that Python draws for sets.
        python = f"PYTHONHASHSEED={order} python3 -P -s -B"
        result = session.run(f"{python} -c '{_PROGRAM}' {mark} {seconds} {order} {' '.join(tests)}")
        for text in reversed(result.output.splitlines()):
            if text.startswith(mark):
                return dict(json.loads(text.removeprefix(mark))), "", result.seconds, session.level
        how = {"exit": f"exit status {result.code}", "wall": "out of time", "output": "a flood of output"}
        return None, how.get(result.ended, "out of memory"), result.seconds, session.level
