"""The rows of an evaluation: one per episode, held and stored by columns, so that a million of them are small."""

import csv
import io
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import compress, islice
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from agentgym.errors import MissingExtra
from agentgym.runs.files import replacing

__all__ = ["Row", "Rows", "require_parquet"]


@dataclass(frozen=True)
class Row:
    """One episode of one agent under one condition.

    ``episode_return`` is the undiscounted sum of the environment's true rewards (never of perturbed ones). It is NaN if
    there is an ``error``. ``note`` reports other events, such as a worker that died and was replaced. ``measures`` are
    the environment's values for the whole episode from ``info["measures"]``, by name.
    """

    agent: str
    condition: str
    episode: int
    seed: int
    episode_return: float
    length: int
    error: str = ""
    note: str = ""
    measures: dict[str, float] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the episode ended and has a return."""
        return math.isfinite(self.episode_return) and not self.error


TEXTS, WHOLE = ("agent", "condition", "error", "note"), ("episode", "seed", "length")
HEADER = ("agent", "condition", "episode", "seed", "return", "length", "error", "note", "measures")
FIELDS = ("agent", "condition", "episode", "seed", "episode_return", "length", "error", "note")
MEASURE = "measure: "  # before the names of measures among Parquet's columns
BLOCK = 1 << 15  # rows written at once
LINES = 1 << 8  # of a CSV file, read at once: so few that they stay in the cache

Block = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Texts:
    """A column of texts, each distinct one stored once: row i has ``names[codes[i]]``."""

    names: list[str]
    codes: NDArray[np.int32]


class Rows(Sequence[Row]):
    """Rows as columns. As a sequence, it makes a :class:`Row` of each.

    Attributes:
        texts: the columns agent, condition, error and note.
        numbers: the columns episode, seed and length (int64) and episode_return (float64), each [N].
        measures: the values of each measure, float64 [N], and which rows have it, bool [N].
    """

    def __init__(
        self,
        texts: dict[str, Texts],
        numbers: dict[str, NDArray[Any]],
        measures: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]],
    ) -> None:
        self.texts, self.numbers, self.measures = texts, numbers, measures

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Rows":
        """Gather rows one after another."""
        return cls._gathered(_as_block(block) for block in _blocks(rows))

    @classmethod
    def _gathered(cls, blocks: Iterable[Block]) -> "Rows":
        """Append blocks: every column of :data:`FIELDS`, and "measures", a dictionary a row."""
        codes: dict[str, dict[str, int]] = {name: {} for name in TEXTS}
        coded = {name: array("i") for name in TEXTS}
        numbers = {name: array("d" if name == "episode_return" else "q") for name in (*WHOLE, "episode_return")}
        measures = _Measures()
        for block in blocks:
            for name, known in codes.items():
                for text in dict.fromkeys(block[name]):
                    known.setdefault(text, len(known))
                coded[name].extend(map(known.__getitem__, block[name]))
            for name, column in numbers.items():
                column.extend(block[name])
            measures.append(block["measures"])
        return cls(
            {name: Texts(list(codes[name]), _as_array(coded[name], np.int32)) for name in TEXTS},
            {
                name: _as_array(column, np.float64 if column.typecode == "d" else np.int64)
                for name, column in numbers.items()
            },
            measures.columns(),
        )

    def __len__(self) -> int:
        return len(self.numbers["episode"])

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows": ...
    def __getitem__(self, index: int | slice) -> "Row | Rows":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        score = float(self.numbers["episode_return"][index])
        texts: dict[str, Any] = {name: column.names[column.codes[index]] for name, column in self.texts.items()}
        whole: dict[str, Any] = {name: int(self.numbers[name][index]) for name in WHOLE}
        return Row(
            **texts,
            **whole,
            episode_return=score if score == score else math.nan,  # one NaN, so that equal rows compare equal
            measures={name: float(column[index]) for name, (column, has) in self.measures.items() if has[index]},
        )

    def __eq__(self, other: object) -> bool:
        """Whether all rows are equal; NaN equals NaN."""
        if not isinstance(other, Sequence):
            return NotImplemented
        rows = other if isinstance(other, Rows) else Rows.of(other)
        return len(self) == len(rows) and all(repr(one) == repr(two) for one, two in zip(self, rows, strict=True))

    __hash__ = None  # type: ignore[assignment]

    @property
    def finished(self) -> NDArray[np.bool_]:
        """Which episodes ended and have a return, [N]."""
        errors = self.texts["error"]
        fine = np.array([not name for name in errors.names], np.bool_)
        return np.isfinite(self.numbers["episode_return"]) & fine[errors.codes] if len(self) else np.zeros(0, np.bool_)

    def take(self, which: NDArray[Any]) -> "Rows":
        """The rows of an index or of a mask."""
        return Rows(
            {name: Texts(column.names, column.codes[which]) for name, column in self.texts.items()},
            {name: column[which] for name, column in self.numbers.items()},
            {name: (values[which], present[which]) for name, (values, present) in self.measures.items()},
        )

    def ordered(self, agents: Sequence[str], conditions: Sequence[str]) -> "Rows":
        """The rows by agent, by condition and by episode; the names in the given order."""
        ranks = [
            np.array([order.index(name) for name in column.names], np.int32)[column.codes]
            for column, order in ((self.texts["condition"], list(conditions)), (self.texts["agent"], list(agents)))
        ]
        return self.take(np.lexsort((self.numbers["episode"], *ranks)))

    def groups(self) -> dict[tuple[str, str], NDArray[np.intp]]:
        """The places of the rows of each agent and condition, in their order."""
        agents, conditions = self.texts["agent"], self.texts["condition"]
        keys = agents.codes.astype(np.int64) * max(1, len(conditions.names)) + conditions.codes
        order = np.argsort(keys, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(keys[order])) + 1) if len(order) else []
        return {(agents.names[agents.codes[p[0]]], conditions.names[conditions.codes[p[0]]]): p for p in parts}

    def write_csv(self, path: Path) -> None:
        """Write a table that any program reads; ``measures`` is a JSON object."""
        with replacing(path) as file:
            for begin in range(0, max(1, len(self)), BLOCK):
                text = io.StringIO()
                writer = csv.writer(text, lineterminator="\n")
                if not begin:
                    writer.writerow(HEADER)
                part = self[begin : begin + BLOCK]
                writer.writerows(zip(*part._lists(), strict=True))  # floats by repr, so they are read back exactly
                file.write(text.getvalue().encode())

    def _lists(self) -> Iterator[list[Any]]:
        """The columns of rows.csv."""
        for name in FIELDS:
            if name in self.texts:
                column = self.texts[name]
                yield [column.names[code] for code in column.codes.tolist()]
            else:
                yield self.numbers[name].tolist()
        names = list(self.measures)
        values = zip(*(column.tolist() for column, _ in self.measures.values()), strict=True)
        has = zip(*(present.tolist() for _, present in self.measures.values()), strict=True)
        found = (dict(compress(zip(names, v, strict=True), p)) for v, p in zip(values, has, strict=True))
        yield [json.dumps(one) if one else "" for one in found] if names else [""] * len(self)

    @classmethod
    def read_csv(cls, path: Path) -> "Rows":
        """Read what :meth:`write_csv` wrote. With pyarrow (extra ``parquet``) it takes a sixth of the time.

        Raises:
            ValueError, LookupError, OverflowError: it is damaged.
        """
        with suppress(MissingExtra):
            arrow, _ = _pyarrow()
            with suppress(arrow.ArrowInvalid):  # Python's reader is the measure of what is damaged
                return cls._read_csv_by_arrow(path)
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            head = next(lines, [])
            places = [head.index(name) for name in HEADER]
            return cls._gathered(_parsed(block, places) for block in _blocks(filter(None, lines), LINES))

    @classmethod
    def _read_csv_by_arrow(cls, path: Path) -> "Rows":
        import pyarrow
        from pyarrow import csv as arrow_csv

        text = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
        kinds = dict.fromkeys((*TEXTS, "measures"), text) | dict.fromkeys(WHOLE, pyarrow.int64())
        table = arrow_csv.read_csv(
            path,
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types={**kinds, "return": pyarrow.float64()}, null_values=[], include_columns=list(HEADER)
            ),
        )
        texts, numbers = _columns_of(table)
        scores, errors = numbers["episode_return"], texts["error"]
        told = {name: code for code, name in enumerate(errors.names)}
        for at in np.flatnonzero(~np.isfinite(scores)):
            if not errors.names[errors.codes[at]]:
                errors.codes[at] = told.setdefault(_not_finite(scores[at]), len(told))
        measured = table.column("measures").combine_chunks()
        each = [_measures_in(one) for one in measured.dictionary.to_pylist()]
        measures = _Measures()
        measures.append([each[code] for code in measured.indices.to_numpy()] if any(each) else [{}] * len(scores))
        texts["error"] = Texts(list(told), errors.codes)
        del table, measured
        pyarrow.default_memory_pool().release_unused()
        return cls(texts, numbers, measures.columns())

    def write_parquet(self, path: Path) -> None:
        """Write Parquet: the columns of rows.csv, and instead of "measures" one column a measure.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        arrow, parquet = _pyarrow()
        columns: dict[str, Any] = {}
        for name, head in zip(FIELDS, HEADER, strict=False):
            if name in self.texts:
                kept = self.texts[name]
                columns[head] = arrow.DictionaryArray.from_arrays(kept.codes, arrow.array(kept.names, arrow.string()))
            else:
                columns[head] = arrow.array(self.numbers[name])
        for name, (values, present) in self.measures.items():
            columns[MEASURE + name] = arrow.array(values, mask=~present)
        with replacing(path) as file:
            parquet.write_table(arrow.table(columns), file, row_group_size=BLOCK * 8)

    @classmethod
    def read_parquet(cls, path: Path) -> "Rows":
        """Read what :meth:`write_parquet` wrote.

        Raises:
            MissingExtra: pyarrow is not installed.
            ValueError, LookupError: it is damaged.
        """
        arrow, parquet = _pyarrow()
        try:
            table = parquet.read_table(path, read_dictionary=list(TEXTS))
        except OSError as error:  # what pyarrow says of damaged pages
            raise ValueError(str(error)) from error
        texts, numbers = _columns_of(table)
        found = {
            head.removeprefix(MEASURE): table.column(head).combine_chunks()
            for head in table.column_names if head.startswith(MEASURE)
        }  # fmt: skip
        measures = {
            name: (
                column.to_numpy(zero_copy_only=False).astype(np.float64),
                column.is_valid().to_numpy(zero_copy_only=False),
            )
            for name, column in found.items()
        }
        del table, found
        arrow.default_memory_pool().release_unused()
        return cls(texts, numbers, measures)


Item = TypeVar("Item")


def _blocks(items: Iterable[Item], size: int = BLOCK) -> Iterator[list[Item]]:
    items = iter(items)
    while block := list(islice(items, size)):
        yield block


class _Measures:
    """Gathers the measures of rows into columns."""

    def __init__(self) -> None:
        self.count = 0
        self._found: dict[str, tuple[array[float], array[int]]] = {}

    def append(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Add the measures of further rows."""
        for at, row in enumerate(rows) if any(rows) else ():
            for name, value in row.items():
                values, present = self._found.setdefault(name, (array("d"), array("b")))
                _fill(values, present, self.count + at)
                values.append(value)
                present.append(1)
        self.count += len(rows)

    def columns(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        """By name: the order in which workers come back must not show in the files."""
        for values, present in self._found.values():
            _fill(values, present, self.count)
        return {
            name: (_as_array(v, np.float64), _as_array(p, np.bool_)) for name, (v, p) in sorted(self._found.items())
        }


def _columns_of(table: Any) -> tuple[dict[str, Texts], dict[str, NDArray[Any]]]:
    """Texts and numbers of a table of pyarrow.

    Raises:
        ValueError, LookupError: cells are empty, or a column is missing.
    """
    texts, numbers = {}, {}
    for name, head in zip(FIELDS, HEADER, strict=False):
        column = table.column(head).combine_chunks()
        if column.null_count:
            raise ValueError(f"the column {head} has empty cells")
        if name in TEXTS:
            texts[name] = Texts(column.dictionary.to_pylist(), column.indices.to_numpy().astype(np.int32))
        else:
            kind = np.float64 if name == "episode_return" else np.int64
            numbers[name] = column.to_numpy(zero_copy_only=False).astype(kind, copy=False)
    return texts, numbers


def _as_array(column: "array[Any]", kind: Any) -> NDArray[Any]:
    """The same memory as NumPy's."""
    return np.frombuffer(column, kind) if column else np.zeros(0, kind)


def _fill(values: "array[float]", present: "array[int]", count: int) -> None:
    """Mark the rows up to ``count`` as without this measure."""
    missing = count - len(values)
    if missing > 0:
        values.extend([math.nan] * missing)
        present.extend([0] * missing)


def _as_block(rows: Sequence[Row]) -> Block:
    return {name: [getattr(row, name) for row in rows] for name in (*FIELDS, "measures")}


def _parsed(lines: Sequence[list[str]], places: list[int]) -> Block:
    """Columns from lines, without a loop in Python over the usual ones."""
    found = list(zip(*lines, strict=True))
    columns = {name: found[place] for name, place in zip(HEADER, places, strict=True)}
    scores, errors = list(map(float, columns["return"])), columns["error"]
    if not all(map(math.isfinite, scores)):
        errors = tuple(
            error or ("" if math.isfinite(score) else _not_finite(score))
            for error, score in zip(errors, scores, strict=True)
        )
    measures: list[dict[str, float]] = [{}] * len(lines)
    if any(columns["measures"]):
        measures = [_measures_in(text) for text in columns["measures"]]
    whole = {name: list(map(int, columns[name])) for name in WHOLE}
    return {**columns, **whole, "episode_return": scores, "error": errors, "measures": measures}


def _not_finite(score: float) -> str:
    """The error of a row of another program, which has no other."""
    return f"NonFinite: the return is {score}."


def _measures_in(text: str) -> dict[str, float]:
    return json.loads(text) if text else {}


def require_parquet() -> None:
    """Check before any work that pyarrow is installed.

    Raises:
        MissingExtra: it is not.
    """
    _pyarrow()


def _pyarrow() -> tuple[Any, Any]:
    with suppress(ImportError):
        import pyarrow
        import pyarrow.parquet

        return pyarrow, pyarrow.parquet
    raise MissingExtra("pyarrow", "parquet")
