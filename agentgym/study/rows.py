"""The rows of a study: one or several for every run, in a CSV file that is replaced as a whole when a run ends.

Rows stand in the order of the study's cells, whatever the order in which they were made.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentgym.errors import AskError, CorruptFile, MissingExtra
from agentgym.runs.files import require_writable, write_file
from agentgym.runs.run import provenance
from agentgym.study.cells import Cell, differences

__all__ = ["KEY", "RESERVED", "Row", "Rows", "measures_of", "origin", "stamp", "write_parquet"]

KEY = ("question", "agent", "env", "seed")
ABOUT = ("case", "returns", "steps", "seconds", "error", "note", "created", "git", "versions", "python", "plan")
RESERVED = {*KEY, *ABOUT}
Row = dict[str, str]


class Rows:
    """A CSV file of rows or of curves.

    Args:
        path: the file; it need not exist.
        first, last: columns before and after the measures.
    """

    def __init__(self, path: Path, first: Sequence[str] = ("case",), last: Sequence[str] = ABOUT[1:]) -> None:
        self.path, self.first, self.last = path, first, last
        self._by_key: dict[tuple[str, ...], list[Row]] = {}
        self.read()

    def read(self) -> None:
        """Read the file again.

        Raises:
            CorruptFile: it is damaged, or no table of a study's rows.
        """
        self._by_key = {}
        for row in _read(self.path, [*KEY, *self.first, *self.last]):
            self._by_key.setdefault(tuple(row[name] for name in KEY), []).append(row)

    @property
    def rows(self) -> list[Row]:
        """All rows, as text; a value that is not known is ""."""
        return [row for rows in self._by_key.values() for row in rows]

    def of(self, cell: Cell) -> list[Row]:
        """The rows of one cell."""
        return self._by_key.get(tuple(map(str, cell.key)), [])

    def finished(self, cell: Cell) -> bool:
        """Whether a cell has rows and none with an error."""
        rows = self.of(cell)
        return bool(rows) and not any(row.get("error") for row in rows)

    def require_writable(self) -> None:
        """Refuse a file that cannot be written.

        Raises:
            InvalidParameter: it cannot.
        """
        require_writable(self.path)

    def require_same_plan(self, cells: Iterable[Cell]) -> None:
        """Refuse rows that were made by other settings or another protocol.

        Raises:
            AskError: there are some; the message says what differs.
        """
        for cell in cells:
            for row in self.of(cell):
                if row["error"] or row["plan"] == cell.plan():
                    continue
                changed = "; ".join(differences(row["plan"], cell.plan()))
                raise AskError(
                    f"{self.path} has results of {cell.agent} on {cell.env} (seed {cell.seed}) with other settings: "
                    f"{changed}. Undo the change, or name another file for the rows (rows = ...)."
                )

    def replace(self, cell: Cell, rows: Iterable[Mapping[str, Any]], order: Sequence[Cell]) -> None:
        """Replace the rows of one cell and write the file.

        Args:
            cell: the cell.
            rows: its rows, without the columns of the key.
            order: all cells of the study, in order; rows of other cells come last.
        """
        own = dict(zip(KEY, map(str, cell.key), strict=True))
        blank = dict.fromkeys([*self.first, *self.last], "")
        self._by_key[tuple(own.values())] = [
            {**own, **blank, **{name: _text(value) for name, value in row.items()}} for row in rows
        ]
        keys = [tuple(map(str, each.key)) for each in order]
        self._by_key = {key: self._by_key[key] for key in dict.fromkeys([*keys, *self._by_key]) if key in self._by_key}
        self.write()

    def write(self) -> None:
        """Write the file as a whole, so that a reader and a killed process leave whole rows."""
        columns = self.columns()
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_file(self.path, text.getvalue())

    def columns(self) -> list[str]:
        """The key, the measures, and where the row comes from."""
        present = dict.fromkeys(name for row in self.rows for name in row)
        fixed = [*KEY, *self.first, *self.last]
        measures = [name for name in present if name not in fixed]
        return [*KEY, *self.first, *measures, *self.last]


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value)


def _read(path: Path, needed: Sequence[str]) -> list[Row]:
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorruptFile(
            f"{path} is damaged ({error}). Restore it, or remove it to make the runs' rows again."
        ) from None
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values() or not set(needed) <= row.keys():
            raise CorruptFile(f"{path} is no table of a study's rows (row {number}). Restore it, or name another file.")
    return rows


def measures_of(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """The names of the measures in some rows."""
    return [name for name in dict.fromkeys(n for row in rows for n in row) if name not in RESERVED]


def stamp(about: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Where a row comes from: of a run's provenance, by default of this process."""
    about = about or provenance()
    versions = " ".join(f"{name}={version}" for name, version in about["versions"].items())
    return {"created": about["created"], "git": about["git"] or "", "versions": versions, "python": about["python"]}


def origin(row: Mapping[str, str]) -> tuple[str, str]:
    """The code and the versions that made a row."""
    python = f"Python {row['python']}, " if row.get("python") else ""
    return row.get("git", ""), python + row.get("versions", "")


def write_parquet(rows: Sequence[Mapping[str, str]], path: Path) -> Path:
    """Write rows as a Parquet file, with numbers as numbers and unknown values as nulls.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("pyarrow", "parquet") from None
    names = list(dict.fromkeys(name for row in rows for name in row))
    texts = {
        "question",
        "agent",
        "env",
        "case",
        "returns",
        "error",
        "note",
        "created",
        "git",
        "versions",
        "python",
        "plan",
    }
    columns = {name: [_value(row.get(name, ""), name in texts) for row in rows] for name in names}
    columns = {name: _alike(values) for name, values in columns.items()}
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), sink)
    write_file(path, sink.getvalue())
    return path


def _alike(values: list[Any]) -> list[Any]:
    """One type a column: text where any value is text."""
    if any(isinstance(value, str) for value in values):
        return [value if value is None else str(value) for value in values]
    if any(isinstance(value, float) for value in values):
        return [value if value is None else float(value) for value in values]
    return values


def _value(text: str, is_text: bool) -> Any:
    if is_text or not text:
        return text or None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
