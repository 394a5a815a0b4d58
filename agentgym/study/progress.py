"""What a running study shows: a live table on a terminal, otherwise a line for every run that ends."""

import math
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from agentgym.runs import metrics
from agentgym.study.cells import Cell
from agentgym.study.rows import origin, stamp

if TYPE_CHECKING:
    from agentgym.parallel import Outcome
    from agentgym.study.judging import Made
    from agentgym.study.runner import Results

__all__ = ["Progress", "duration", "status_table"]


class Progress:
    """Shows a running study.

    Args:
        results: the study with its rows.
        cells: the chosen cells.
        waiting: those that are made now.
        workers: how many are made at once.
        shown: whether to show anything.
    """

    def __init__(
        self, results: "Results", cells: Sequence[Cell], waiting: Sequence[Cell], workers: int, shown: bool
    ) -> None:
        self.results, self.cells, self.workers = results, cells, max(workers, 1)
        self.waiting = {cell.key: cell for cell in waiting}
        self.total, self.done, self.began = len(waiting), 0, time.monotonic()
        self.console = Console(stderr=True, quiet=not shown)
        self.live: Live | None = None
        if self.console.is_terminal and shown:
            self.live = Live(get_renderable=self._table, console=self.console, refresh_per_second=0.5)

    def __enter__(self) -> "Progress":
        there = len(self.cells) - self.total
        self.console.print(f"{self.results.study.name}: {len(self.cells)} runs, {there} there already")
        now = origin(stamp())
        if others := sum(origin(row) != now for row in self.results.rows.rows):
            self.console.print(f"{others} rows were made by other code or versions. They stay, and are marked as such.")
        if self.live:
            self.live.start(refresh=True)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.live:
            self.live.stop()

    def finished(self, cell: Cell, outcome: "Outcome[Made | OSError]") -> None:
        """A run has ended."""
        self.done += 1
        self.waiting.pop(cell.key, None)
        if self.live:
            return
        said = f"failed: {outcome.error}" if outcome.value is None else _scores(self.results, cell)
        left = self.seconds_left()
        rest = f"; about {duration(left)} left" if self.waiting and left is not None else ""
        self.console.print(
            f"{self.done}/{self.total} {cell.agent} {cell.env} seed {cell.seed}: {said}{rest}", highlight=False
        )

    def _table(self) -> Table:
        table = status_table(self.results, self.cells)
        left = self.seconds_left()
        rest = f", about {duration(left)} left" if left is not None else ""
        table.caption = f"{self.done} of {self.total} done in {duration(time.monotonic() - self.began)}{rest}"
        return table

    def seconds_left(self) -> float | None:
        """How long the rest takes by the speed of the runs there are; None if there is none yet."""
        rates = _rates(self.results)
        if not rates:
            return None
        middle = sorted(rates.values())[len(rates) // 2]
        total = 0.0
        for cell in list(self.waiting.values()):
            steps = max(0, cell.steps - steps_done(cell))
            total += steps * rates.get((cell.agent, cell.env), middle)
        return total / min(self.workers, max(1, len(self.waiting)))


def _rates(results: "Results") -> dict[tuple[str, str], float]:
    """Seconds per step by agent and environment."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in results.rows.rows:
        if not row["error"] and row.get("seconds") and float(row["steps"] or 0) > 0:
            found.setdefault((row["agent"], row["env"]), []).append(float(row["seconds"]) / float(row["steps"]))
    return {key: sum(rates) / len(rates) for key, rates in found.items()}


def steps_done(cell: Cell) -> int:
    """How far a run is, by its log."""
    logged = metrics.Table(cell.folder / "metrics.csv").rows() if cell.is_run else []
    try:
        return int(float(logged[-1].get("step") or 0)) if logged else 0
    except ValueError:  # a row that is being written
        return 0


def status_table(results: "Results", cells: Sequence[Cell]) -> Table:
    """One line an agent and environment: what is done, what runs, what failed."""
    study = results.study
    table = Table("question", "agent", "environment", "done", "running", "failed", "score", box=None, pad_edge=False)
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.question, cell.agent, cell.env), []).append(cell)
    by_key = {cell.key: results.rows.of(cell) for cell in cells}
    last = ""
    for (question, agent, env), own in groups.items():
        rows = [by_key[cell.key] for cell in own]
        failed = sum(any(row["error"] for row in each) for each in rows)
        done = sum(bool(each) for each in rows) - failed
        waiting = [cell for cell, each in zip(own, rows, strict=True) if not each]
        running = [steps_done(cell) / cell.steps for cell in waiting if (cell.folder / "running.json").is_file()]
        scores = [value for each in rows for row in each if (value := _score(study, question, row)) is not None]
        table.add_row(
            question if question != last else "", study.label(agent), study.env_label(env), f"{done}/{len(own)}",
            " ".join(f"{share:.0%}" for share in running), f"[red]{failed}" if failed else "",
            f"{sum(scores) / len(scores):.4g}" if scores else "",
        )  # fmt: skip
        last = question
    return table


def _score(study: Any, question: str, row: dict[str, str]) -> float | None:
    protocol = study.protocol_of(question)
    text = row.get(protocol.score, "") if row["case"] == protocol.case else ""
    return float(text) if text else None


def _scores(results: "Results", cell: Cell) -> str:
    rows = results.rows.of(cell)
    scores = [value for row in rows if (value := _score(results.study, cell.question, row)) is not None]
    seconds = f" in {duration(float(rows[0]['seconds']))}" if rows and rows[0].get("seconds") else ""
    name = results.study.protocol_of(cell.question).score
    return (f"{name} {scores[0]:.4g}" if scores else "done") + seconds


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whatever reads well.

    >>> duration(42.0), duration(150.0), duration(9000.0)
    ('42 s', '2.5 min', '2.5 h')
    """
    if math.isnan(seconds):
        return "–"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
