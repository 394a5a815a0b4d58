"""metrics.csv and timing.csv: what a run logs, as tables that any tool reads."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentgym.files import write_file

__all__ = ["MetricsFile", "Table"]

WALL_CLOCK = ("time/fps", "time/time_elapsed", "time/seconds")


class Table:
    """A CSV file to which rows are appended; a key that appears later adds a column to the rows already there."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        rows = self.rows()
        self.columns: list[str] = self._header()
        self.count = len(rows)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row; the folder is made where it is missing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if new := [key for key in row if key not in self.columns]:
            rows = self.rows()
            self.columns += new
            self._rewrite(rows)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.columns, restval="", lineterminator="\n").writerow(row)
        self.count += 1

    def rows(self) -> list[dict[str, str]]:
        """All rows as text."""
        if not self.path.is_file():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def cut_back(self, count: int, columns: list[str]) -> None:
        """Keep the first ``count`` rows, with the columns that there were then."""
        rows = self.rows()[:count]
        self.count, self.columns = count, list(columns)
        if self.columns:
            self._rewrite(rows)
        else:
            self.path.unlink(missing_ok=True)

    def _header(self) -> list[str]:
        if not self.path.is_file():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        write_file(self.path, text.getvalue())


class MetricsFile:
    """A run's log: what follows from configuration and seed in metrics.csv, what the clock says in timing.csv.

    It has the two methods of Stable-Baselines3's ``KVWriter``, so that it can stand in its logger.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path | str) -> None:
        self.metrics = Table(Path(folder) / "metrics.csv")
        self.timing = Table(Path(folder) / "timing.csv")

    def write(self, key_values: Mapping[str, Any], key_excluded: Mapping[str, tuple[str, ...]], step: int = 0) -> None:
        """Append one row; keys excluded from "csv" and values that are not numbers or text are left out."""
        plain: dict[str, Any] = {"step": step}
        for key, value in sorted(key_values.items()):
            value = value.item() if hasattr(value, "item") else value
            if "csv" not in (key_excluded.get(key) or ()) and isinstance(value, int | float | str):
                plain[key] = value
        self.metrics.append({key: value for key, value in plain.items() if key not in WALL_CLOCK})
        self.timing.append({key: value for key, value in plain.items() if key in ("step", *WALL_CLOCK)})

    def close(self) -> None:
        """Nothing is held open between rows."""

    def clear(self) -> None:
        """Drop all rows: the run starts over."""
        for table in (self.metrics, self.timing):
            table.cut_back(0, [])

    def position(self) -> dict[str, Any]:
        """How far the tables are written, for :meth:`cut_back`."""
        return {table.path.name: [table.count, list(table.columns)] for table in (self.metrics, self.timing)}

    def cut_back(self, position: Mapping[str, Any]) -> None:
        """Drop what was logged after ``position``; a run that goes on will log it again."""
        for table in (self.metrics, self.timing):
            table.cut_back(*position[table.path.name])
