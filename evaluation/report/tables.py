"""The report's tables: the summary, every condition (also as CSV), and what failed."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator
from html import escape

from agentgym.evaluation.report.panels import Cell, Panel
from agentgym.evaluation.report.words import interval, number, share
from agentgym.evaluation.table import Evaluation
from agentgym.stats import Estimate

__all__ = ["conditions_csv", "conditions_table", "failures_table", "summary_table"]

FAILURES_SHOWN = 50


def summary_table(panels: list[Panel], nominal: dict[str, Estimate]) -> str:
    """One row an agent and panel."""
    rows = "".join(_summary_row(panel, agent, nominal.get(agent)) for panel in panels for agent in panel.cells)
    heads = ["Plot", "Agent", "Nominal", "Mean", "IQM", "CVaR 10 %", "Worst", "Worst condition", "Failed"]
    return _table(heads, rows, "Summary of every agent and plot")


def _summary_row(panel: Panel, agent: str, nominal: Estimate | None) -> str:
    summary = panel.summaries[agent]
    place = panel.name if panel.kind == "nominal" else f"{panel.tab}: {panel.name}"
    index = list(panel.cells).index(agent)
    cells = [
        _text(place, wrapped=True),
        f'<td data-value="{escape(agent)}"><span class="dot agent-{index % 6}"></span>{escape(agent)}</td>',
        _estimate(nominal, None),
    ]
    scores = summary.scores
    for name in ("mean", "iqm", "cvar", "worst"):
        cells.append(_estimate(getattr(scores, name) if scores else None, nominal))
    cells.append(_text(summary.worst_condition or "–", wrapped=True))
    failed = f"{summary.failed} of {summary.failed + summary.episodes}" if summary.failed else "0"
    cells.append(f'<td class="number{" bad" if summary.failed else ""}" data-value="{summary.failed}">{failed}</td>')
    return f"<tr>{''.join(cells)}</tr>"


COLUMNS = (
    "tab", "plot", "condition", "agent", "mean", "low", "high", "least", "greatest", "episodes", "failed", "steps",
)  # fmt: skip
NOTE = "error or note"


def conditions_table(panels: list[Panel]) -> str:
    """One row an agent and condition; what the environment measured has a column each."""
    rows = []
    for record in _records(panels):
        cells = [_text(value) if isinstance(value, str) else _number(float(value)) for value in record.values()]
        rows.append(f"<tr{' class=failed' if record['failed'] else ''}>{''.join(cells)}</tr>")
    heads = [name.replace("_", " ").capitalize() for name in _columns(panels)]
    return _table(heads, "".join(rows), "Every condition", "conditions")


def conditions_csv(panels: list[Panel]) -> str:
    """The same rows, with all digits; an unknown number is empty."""
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
    least, greatest = (pick(cell.returns.values(), default=math.nan) for pick in (min, max))
    return [
        cell.mean.value, cell.mean.low, cell.mean.high, least, greatest, len(cell.returns), cell.failed, cell.length
    ]  # fmt: skip


def failures_table(evaluation: Evaluation) -> str:
    """What failed, equal errors of one agent and condition together; empty where nothing did."""
    failed = [row for row in evaluation.rows if math.isnan(row.episode_return)]
    if not failed:
        return ""
    counts = Counter((row.agent, row.condition, row.error or "no return was recorded") for row in failed)
    rows = "".join(
        f"<tr>{_text(agent)}{_text(condition)}{_number(count)}{_text(error)}</tr>"
        for (agent, condition, error), count in counts.most_common(FAILURES_SHOWN)
    )
    hidden = len(counts) - FAILURES_SHOWN
    more = f"<p class=note>{hidden} more kinds stand in All conditions and in rows.csv.</p>" if hidden > 0 else ""
    return (
        f'<section class="panel wide"><h3 class="bad">{len(failed)} failed episodes</h3>'
        + _table(["Agent", "Condition", "Episodes", "Error"], rows, "Failed episodes")
        + f"{more}</section>"
    )


def _table(heads: list[str], rows: str, label: str, name: str = "") -> str:
    columns = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{escape(head)}</button></th>' for head in heads
    )
    identity = f' id="{name}"' if name else ""
    return (
        f'<div class="scroll"><table{identity} aria-label="{escape(label)}"><thead><tr>{columns}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _text(value: str, wrapped: bool = False) -> str:
    kind = ' class="wrapped"' if wrapped else ' class="long"' if len(value) > 44 else ""
    return f'<td{kind} data-value="{escape(value)}">{escape(value)}</td>'


def _number(value: float) -> str:
    return f'<td class="number" data-value="{value!r}">{number(value)}</td>'


def _estimate(estimate: Estimate | None, nominal: Estimate | None) -> str:
    if estimate is None:
        return '<td class="number" data-value="nan">–</td>'
    part = share(estimate.value, nominal)
    percent = f'<span class="share">{part}</span>' if part else ""
    return (
        f'<td class="number" data-value="{estimate.value!r}">{number(estimate.value)}{percent}'
        f"<small>{interval(estimate)}</small></td>"
    )
