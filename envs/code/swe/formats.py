"""Files of tasks in the formats of SWE-bench and SWE-smith.

Fields: SWE-bench's data card (https://huggingface.co/datasets/princeton-nlp/SWE-bench) and SWE-smith's guide
(docs/guides/harnesses.md of github.com/SWE-bench/SWE-smith). In SWE-bench ``patch`` is the solution without tests, and
``test_patch`` the tests that came with it. In SWE-smith ``patch`` makes the fault, the solution is its reverse
(swesmith/harness/utils.py), there is no ``test_patch``, and ``base_commit`` has the fault already
(swesmith/harness/gather.py).
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentgym.errors import CorruptFile, InvalidParameter, MissingExtra, UnknownId

__all__ = ["FORMS", "Instance", "read_instances"]

Form = Literal["swe-bench", "swe-smith"]
FORMS = ("auto", "swe-bench", "swe-smith")

_NAME = re.compile(r"[A-Za-z0-9_][\w.+-]*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.\w+){2,}")
_IN_BRACKETS = re.compile(r"(\w+) \(([\w.]+)\)")  # as unittest prints a test


@dataclass(frozen=True)
class Instance:
    """A row of a file.

    Attributes:
        id: its ``instance_id``.
        repo: its ``repo``; "" if it has none.
        statement: ``problem_statement``, what the agent is told.
        patch: solution ("swe-bench") or fault ("swe-smith"), a unified diff.
        test_patch: changes of tests, laid over when grading; "" in "swe-smith".
        failing: FAIL_TO_PASS.
        passing: PASS_TO_PASS.
        runner: "pytest" or "unittest", by the form of the tests' ids.
        form: of the row.
    """

    id: str
    repo: str
    statement: str
    patch: str
    test_patch: str
    failing: tuple[str, ...]
    passing: tuple[str, ...]
    runner: Literal["pytest", "unittest"]
    form: Form


def read_instances(path: Path | str, chosen: Sequence[str] | None = None, form: str = "auto") -> list[Instance]:
    """Read a file: a JSON list, JSON lines, or Parquet.

    Args:
        path: the file.
        chosen: ids of the tasks to read, in this order; None: all.
        form: "swe-bench", "swe-smith", or "auto": by each row, the first if it has a ``test_patch``, the second if it
            has none but an ``image_name``.

    Raises:
        InvalidParameter: no such file, no rows, a field that is missing or wrong; the message names task and field.
        UnknownId: no such form, or no task of an id that was chosen.
        CorruptFile: the file is not in one of these formats.
        MissingExtra: Parquet without pyarrow.
    """
    if form not in FORMS:
        raise UnknownId("format of tasks", str(form), FORMS)
    path = Path(path)
    if not path.is_file():
        raise InvalidParameter(f"There is no file of tasks {path}.")
    rows: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(_rows(path), 1):
        name = row.get("instance_id") if isinstance(row, dict) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidParameter(f"Row {number} of {path} has no instance_id that could name a folder: {name!r}.")
        if name in rows:
            raise InvalidParameter(f"{path} has the task {name} twice.")
        rows[name] = row
    if not rows:
        raise InvalidParameter(f"{path} has no tasks.")
    for name in chosen or ():
        if name not in rows:
            raise UnknownId(f"task in {path}", str(name), rows)
    return [_instance(name, rows[name], form) for name in (rows if chosen is None else chosen)]


def _rows(path: Path) -> list[Any]:
    if path.suffix == ".parquet":
        try:
            from pyarrow import ArrowException, parquet
        except ImportError as error:
            raise MissingExtra("pyarrow", "parquet") from error
        try:
            return list(parquet.read_table(path).to_pylist())
        except (ArrowException, OSError) as error:
            raise CorruptFile(f"{path} is no Parquet file: {error}") from error
    number = 0
    try:
        text = path.read_text(encoding="utf-8")
        if text.lstrip().startswith("["):
            return list(json.loads(text))
        rows = []
        for line in text.split("\n"):
            number += 1
            if line.strip():
                rows.append(json.loads(line))
        return rows
    except ValueError as error:
        where = f"line {number} of {path}" if number else str(path)
        raise CorruptFile(f"{where} is neither a JSON list nor JSON lines: {error}") from error


def _instance(name: str, row: dict[str, Any], form: str) -> Instance:
    if form == "auto":
        if isinstance(row.get("test_patch"), str):
            form = "swe-bench"
        elif "image_name" in row:
            form = "swe-smith"
        else:
            raise InvalidParameter(
                f"Task {name} has no test_patch (SWE-bench) and no image_name (SWE-smith). "
                'Name its format: form="swe-bench" or form="swe-smith".'
            )
    test_patch = _text(name, row, "test_patch") if form == "swe-bench" else ""
    failing, passing = _tests(name, row, "FAIL_TO_PASS"), _tests(name, row, "PASS_TO_PASS")
    if not failing:
        raise InvalidParameter(f"Task {name}: FAIL_TO_PASS is empty, so nothing could show that it is solved.")
    statement, patch = _text(name, row, "problem_statement"), _text(name, row, "patch")
    for field, text in (("problem_statement", statement), ("patch", patch)):
        if not text.strip():
            raise InvalidParameter(f"Task {name}: {field} is empty.")
    runner: Literal["pytest", "unittest"] = "pytest" if "::" in failing[0] else "unittest"
    ids = [test if runner == "pytest" else _dotted(test) for test in (*failing, *passing)]
    for test in ids:
        if ("::" in test) != (runner == "pytest") or (runner == "unittest" and not _DOTTED.fullmatch(test)):
            raise InvalidParameter(
                f"Task {name}: {test!r} is not a test of {runner}, as its first. Tests are named as by pytest "
                "(tests/test_a.py::test_b) or by unittest (tests.test_a.TestA.test_b); others cannot be run."
            )
    split = len(failing)
    return Instance(
        name, str(row.get("repo") or ""), statement, patch, test_patch, tuple(ids[:split]), tuple(ids[split:]), runner,
        "swe-bench" if form == "swe-bench" else "swe-smith",
    )  # fmt: skip


def _text(name: str, row: dict[str, Any], field: str) -> str:
    text = row.get(field)
    if not isinstance(text, str):
        raise InvalidParameter(f"Task {name} has no {field}: it must be a text, not {type(text).__name__}.")
    return text


def _tests(name: str, row: dict[str, Any], field: str) -> list[str]:
    """A list of tests, or one written as JSON, as in SWE-bench's own files."""
    tests = row.get(field)
    if isinstance(tests, str):
        try:
            tests = json.loads(tests)
        except ValueError:
            tests = None
    if not isinstance(tests, list) or not all(isinstance(test, str) and test for test in tests):
        raise InvalidParameter(f"Task {name} has no {field}: it must be a list of tests, or one written as JSON.")
    return list(dict.fromkeys(tests))


def _dotted(test: str) -> str:
    """``test_b (tests.test_a.TestA)`` as ``tests.test_a.TestA.test_b``."""
    found = _IN_BRACKETS.fullmatch(test)
    if not found:
        return test
    method, place = found.groups()
    return place if place.endswith(f".{method}") else f"{place}.{method}"
