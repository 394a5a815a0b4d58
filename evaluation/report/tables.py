"""The report's tables: the summary, all conditions (also as CSV), and failures."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from agentgym.evaluation.report.panels import Cell, Panel
from agentgym.evaluation.report.rendering import render
from agentgym.evaluation.report.words import interval, number, share
from agentgym.evaluation.table import Evaluation
from agentgym.stats import Estimate

__all__ = [
    "Entry", "Line", "conditions_csv", "conditions_table", "failures_table", "summary_table", "write_table",
]  # fmt: skip

FAILURES_SHOWN = 50


SUMMARY_NOTE = (
    "Brackets: 95 % bootstrap interval, episodes redrawn within their condition. IQM: mean of the middle half of all "
    "episodes. CVaR 10 %: mean of the worst tenth of all episodes. Worst: least mean of a condition; the least of "
    "noisy means is biased low, and its interval allows for the choice. Percentages: of the agent's nominal return."
)


@dataclass(frozen=True)
class Entry:
    """A cell of a table.

    Attributes:
        text: the text shown.
        value: sort key of the column.
        kind: its CSS classes.
        agent: index of the agent whose coloured dot precedes the text.
        share: a percentage after the text.
        interval: the interval below it.
        href: where the text leads.
    """

    text: str
    value: str
    kind: str = ""
    agent: int | None = None
    share: str = ""
    interval: str | None = None
    href: str = ""


@dataclass(frozen=True)
class Line:
    """One row of a table."""

    cells: list[Entry]
    failed: bool = False


def summary_table(panels: list[Panel], nominal: dict[str, Estimate]) -> Markup:
    """One row per agent and panel."""
    rows = [_summary_row(panel, agent, nominal.get(agent)) for panel in panels for agent in panel.cells]
    heads = ["Plot", "Agent", "Nominal", "Mean", "IQM", "CVaR 10 %", "Worst", "Worst condition", "Failed"]
    return write_table("Summary", "Summary of every agent and plot", heads, rows, note=SUMMARY_NOTE)


def _summary_row(panel: Panel, agent: str, nominal: Estimate | None) -> Line:
    summary, scores = panel.summaries[agent], panel.summaries[agent].scores
    known = [scores.mean, scores.iqm, scores.cvar, scores.worst] if scores else [None] * 4
    failed = f"{summary.failed} of {summary.failed + summary.episodes}" if summary.failed else "0"
    return Line(
        [
            _text(panel.name if panel.kind == "nominal" else f"{panel.tab}: {panel.name}", wrapped=True),
            Entry(agent, agent, agent=list(panel.cells).index(agent)),
            _estimate(nominal, None),
            *(_estimate(score, nominal) for score in known),
            _text(summary.worst_condition or "–", wrapped=True),
            Entry(failed, str(summary.failed), "number bad" if summary.failed else "number"),
        ]
    )


COLUMNS = (
    "tab", "plot", "condition", "agent", "mean", "low", "high", "least", "greatest", "episodes", "failed", "steps",
)  # fmt: skip
NOTE = "error or note"


def conditions_table(panels: list[Panel]) -> Markup:
    """One row per agent and condition, with a column for each of the environment's measures."""
    rows = [
        Line(
            [_text(value) if isinstance(value, str) else _number(float(value)) for value in record.values()],
            failed=bool(record["failed"]),
        )
        for record in _records(panels)
    ]
    heads = [name.replace("_", " ").capitalize() for name in _columns(panels)]
    heading = "Every agent under every condition"
    return write_table(heading, "Every condition", heads, rows, name="conditions", searchable=True)


def conditions_csv(panels: list[Panel]) -> str:
    """The same rows with all digits; unknown numbers are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_columns(panels))
    for record in _records(panels):
        writer.writerow("" if isinstance(value, float) and math.isnan(value) else value for value in record.values())
    return text.getvalue()


def _measures(panels: list[Panel]) -> list[str]:
    return list(dict.fromkeys(name for panel in panels for _, cell in panel.all_cells() for name in cell.measures))


def _columns(panels: list[Panel]) -> list[str]:
    return [*COLUMNS, *_measures(panels), NOTE]


def _records(panels: list[Panel]) -> Iterator[dict[str, str | float]]:
    measures = _measures(panels)
    for panel in panels:
        for agent, cell in panel.all_cells():
            known: list[str | float] = [panel.tab, panel.name, cell.condition, agent, *_numbers(cell)]
            measured = {name: cell.measures.get(name, math.nan) for name in measures}
            yield {**dict(zip(COLUMNS, known, strict=True)), **measured, NOTE: cell.error or cell.note}


def _numbers(cell: Cell) -> list[float]:
    least, greatest = (pick(cell.returns.tolist(), default=math.nan) for pick in (min, max))
    return [
        cell.mean.value, cell.mean.low, cell.mean.high, least, greatest, cell.finished, cell.failed, cell.length
    ]  # fmt: skip


def failures_table(evaluation: Evaluation) -> Markup:
    """Failures, with equal errors of an agent and condition grouped; empty if there are none."""
    failed = evaluation.failures()
    if not failed:
        return Markup()
    counts = Counter((row.agent, row.condition, row.error or "no return was recorded") for row in failed)
    rows = [
        Line([_text(agent), _text(condition), _number(count), _text(error)])
        for (agent, condition, error), count in counts.most_common(FAILURES_SHOWN)
    ]
    hidden = len(counts) - FAILURES_SHOWN
    note = f"{hidden} more kinds are listed under All conditions and among the rows." if hidden > 0 else ""
    heads = ["Agent", "Condition", "Episodes", "Error"]
    return write_table(f"{len(failed)} failed episodes", "Failed episodes", heads, rows, note=note, bad=True)


def write_table(
    heading: str, label: str, heads: list[str], rows: list[Line], name: str = "", note: str = "",
    bad: bool = False, searchable: bool = False,
) -> Markup:  # fmt: skip
    """A table whose columns can be sorted; the first with the name "conditions" can be searched and downloaded."""
    return render(
        "table.html", heading=heading, label=label, heads=heads, rows=rows, name=name, note=note, bad=bad,
        searchable=searchable,
    )  # fmt: skip


def _text(value: str, wrapped: bool = False) -> Entry:
    return Entry(value, value, "wrapped" if wrapped else "long" if len(value) > 44 else "")


def _number(value: float) -> Entry:
    return Entry(number(value), repr(value), "number")


def _estimate(estimate: Estimate | None, nominal: Estimate | None) -> Entry:
    if estimate is None:
        return Entry("–", "nan", "number")
    part = share(estimate.value, nominal)
    return Entry(number(estimate.value), repr(estimate.value), "number", share=part, interval=interval(estimate))
