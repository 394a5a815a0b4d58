"""Reading a study from a TOML file, with errors that name the line."""

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentgym.errors import AskError, InvalidParameter
from agentgym.study.places import path_of
from agentgym.study.reading import study_of
from agentgym.study.schema import Study

__all__ = ["line_of", "load_study", "study_in"]

HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(#.*)?$")
KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def load_study(file: Path | str) -> Study:
    """Read a study.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidParameter: it is not TOML, or not a study; the message names the line.
    """
    with study_in(file) as study:
        return study


@contextmanager
def study_in(file: Path | str) -> Iterator[Study]:
    """The study of a file; errors about it that are raised meanwhile name the line too.

    Raises:
        as :func:`load_study`.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"There is no study at {file}.")
    try:
        text = file.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"{file} is not a TOML file: {error}.") from None
    try:
        yield study_of(file.stem, values, file.parent)
    except AskError as error:
        if not (path := path_of(error)):
            raise
        raise InvalidParameter(f"{file}:{line_of(text, path)}: {error}") from error


def line_of(text: str, path: tuple[str | int, ...]) -> int:
    """The line, from 1, of the value that ``path`` leads to, or of the nearest table or key above it."""
    wanted = [str(part) for part in path]
    best, found, lines = 0, 1, text.splitlines()
    for number, keys in _keys(lines):
        shared = next((i for i, (a, b) in enumerate(zip(keys, wanted, strict=False)) if a != b), None)
        shared = min(len(keys), len(wanted)) if shared is None else shared
        if shared == len(keys) and shared > best:
            best, found = shared, number
    for part in wanted[best:]:  # inside a value of several lines or an inline table
        if part.isdigit():
            continue
        inside = re.compile(rf"""(?<![\w-])["']?{re.escape(part)}["']?\s*=""")
        ends = (n for n, _ in _keys(lines) if n > found)
        last = next(ends, len(lines) + 1)
        found = next((n for n in range(found, last) if inside.search(lines[n - 1])), found)
    return found


def _keys(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The headers and keys of a TOML file with their lines, each as the path from the root."""
    table: list[str] = []
    counts: dict[tuple[str, ...], int] = {}
    closing, depth = "", 0
    for number, line in enumerate(lines, 1):
        if closing:  # inside a text of several lines
            closing = "" if closing in line else closing
            continue
        if depth == 0 and (header := HEADER.match(line)):
            table = _parts(header[2])
            if header[1] == "[[":
                counts[tuple(table)] = counts.get(tuple(table), -1) + 1
            table = _numbered(table, counts)
            yield number, table
            continue
        if depth == 0 and (key := KEY.match(line)):
            yield number, [*table, *_parts(key[1])]
        for mark in ('"""', "'''"):
            if line.count(mark) % 2:
                closing = mark
        plain = re.sub(r""""(\\.|[^"\\])*"|'[^']*'|#.*""", "", line)
        depth = 0 if closing else max(0, depth + sum(map(plain.count, "[{")) - sum(map(plain.count, "]}")))


def _numbered(table: list[str], counts: dict[tuple[str, ...], int]) -> list[str]:
    """The path of a header with the index of every array of tables in it."""
    found: list[str] = []
    for end in range(1, len(table) + 1):
        found.append(table[end - 1])
        if tuple(table[:end]) in counts:
            found.append(str(counts[tuple(table[:end])]))
    return found


def _parts(dotted: str) -> list[str]:
    value: Any = tomllib.loads(f"{dotted} = 0")
    found: list[str] = []
    while isinstance(value, dict):
        ((key, value),) = value.items()
        found.append(key)
    return found
