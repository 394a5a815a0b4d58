"""The tables metrics.csv and timing.csv of a run."""

import csv
import io
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.runs.files import write_file

__all__ = ["MetricsFile", "Table"]

WALL_CLOCK = ("time/fps", "time/time_elapsed", "time/seconds")


class Table:
    """A CSV file for appending rows. A new key adds a column, which is empty in earlier rows.

    Attributes:
        path: path of the file.
        columns: names of the columns; empty before the first row.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.columns: list[str] = _parsed(self._text())[0]

    def append(self, row: Mapping[str, Any]) -> None:
        """Append a row; create the folder if necessary."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if new := [key for key in row if key not in self.columns]:
            rows = self.rows()
            self.columns += new
            self._rewrite(rows)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.columns, restval="", lineterminator="\n").writerow(row)

    def rows(self) -> list[dict[str, str]]:
        """All rows as text."""
        return list(csv.DictReader(io.StringIO(self._text(), newline="")))

    def content(self) -> np.ndarray:
        """The whole file, compressed, as bytes for :meth:`restore`."""
        return np.frombuffer(zlib.compress(self._text().encode(), 1), np.uint8)

    def restore(self, content: np.ndarray) -> bool:
        """Restore the contents from :meth:`content`.

        Returns:
            Whether the file still had all restored rows; additional rows and columns do not matter.
        """
        text, current = zlib.decompress(content.tobytes()).decode(), self._text()
        (columns, rows), (its_columns, its_rows) = _parsed(text), _parsed(current)
        known = [row[: len(columns)] for row in [its_columns, *its_rows[: len(rows)]]]
        self.columns = columns
        if text and text != current:
            write_file(self.path, text)
        elif not text:
            self.path.unlink(missing_ok=True)
        return known == [columns, *rows]

    def _text(self) -> str:
        if not self.path.is_file():
            return ""
        with self.path.open(
            encoding="utf-8", newline="", errors="replace"
        ) as file:  # what is damaged is no row of ours
            return file.read()

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        write_file(self.path, text.getvalue())


def _parsed(text: str) -> tuple[list[str], list[list[str]]]:
    """Columns and rows; empty if the text is not a table."""
    try:
        columns, *rows = csv.reader(io.StringIO(text, newline=""))
    except (ValueError, csv.Error):
        return [], []
    return columns, rows


class MetricsFile:
    """The log of a run: reproducible values in metrics.csv, wall-clock values in timing.csv.

    It has the methods of Stable-Baselines3's ``KVWriter`` and can be used in its ``Logger``.

    Args:
        folder: folder of the run.

    Attributes:
        damaged: whether rows of metrics.csv were missing or changed when it was restored.
    """

    def __init__(self, folder: Path | str) -> None:
        self.metrics = Table(Path(folder) / "metrics.csv")
        self.timing = Table(Path(folder) / "timing.csv")
        self.damaged = False

    def write(self, key_values: Mapping[str, Any], key_excluded: Mapping[str, tuple[str, ...]], step: int = 0) -> None:
        """Append a row without keys excluded from "csv" and without values other than numbers and strings."""
        plain: dict[str, Any] = {"step": step}
        for key, value in sorted(key_values.items()):
            value = value.item() if hasattr(value, "item") else value
            if "csv" not in (key_excluded.get(key) or ()) and isinstance(value, int | float | str):
                plain[key] = value
        self.metrics.append({key: value for key, value in plain.items() if key not in WALL_CLOCK})
        self.timing.append({key: value for key, value in plain.items() if key in ("step", *WALL_CLOCK)})

    def restore(self, content: np.ndarray) -> None:
        """Restore metrics.csv from its :meth:`Table.content`."""
        self.damaged = not self.metrics.restore(content)

    def close(self) -> None:
        """Do nothing: files are not kept open."""

    def clear(self) -> None:
        """Delete all rows, for a run that starts over."""
        for table in (self.metrics, self.timing):
            table.path.unlink(missing_ok=True)
            table.columns = []
