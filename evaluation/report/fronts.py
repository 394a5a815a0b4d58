"""Cost against success: the front of the conditions of one plot, and paired comparisons with the first of them.

For plots whose episodes have the measures ``success`` (1 or 0) and ``cost``, such as controls of turns.
"""

from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup
from numpy.typing import NDArray

from agentgym.evaluation.report.figures import colour, plain
from agentgym.evaluation.report.panels import Panel
from agentgym.evaluation.report.tables import Entry, Line, write_table
from agentgym.evaluation.report.words import number
from agentgym.evaluation.table import Evaluation
from agentgym.turns.paired import Paired, hypervolume, paired

__all__ = ["Point", "front", "paired_table", "points", "volumes"]

HEADS = [
    "Agent", "Condition", "Tasks", "Solved", "Turns", "Cost a task", "a solved task", "Solved, difference",
    "McNemar's p", "Cost saved",
]  # fmt: skip
NOTE = (
    "Differences are against the first condition, task by task; brackets: 95 % bootstrap interval over tasks. Costs "
    "are in the environment's unit and count every prompt in full. Only episodes that both finished are compared."
)


@dataclass(frozen=True)
class Point:
    """A condition beside the first one of its plot, for one agent."""

    agent: str
    condition: str
    compared: Paired
    turns: float


def points(evaluation: Evaluation, panel: Panel) -> list[Point]:
    """The points of a plot, by agent; empty if its episodes lack success or cost."""
    found = []
    for agent, cells in panel.cells.items():
        if any({"success", "cost"} - set(cell.measures) for cell in cells):
            continue
        first = cells[0].condition
        for cell in cells:
            solved, base = (_by_episode(evaluation, agent, name, "success") for name in (cell.condition, first))
            common = sorted(set(solved) & set(base))
            if not common:
                continue
            costs, paid = (_by_episode(evaluation, agent, name, "cost") for name in (cell.condition, first))
            compared = paired(
                _array(solved, common) > 0, _array(base, common) > 0, _array(costs, common), _array(paid, common)
            )
            found.append(Point(agent, cell.condition, compared, cell.measures.get("turns", cell.length)))
    return found


def _by_episode(evaluation: Evaluation, agent: str, condition: str, measure: str) -> dict[int, float]:
    places = evaluation.groups.get((agent, condition), np.zeros(0, np.intp))
    places = places[evaluation.finished[places]]
    values, present = evaluation.rows.measures[measure]
    known = places[present[places]]
    return dict(zip(evaluation.rows.numbers["episode"][known].tolist(), values[known].tolist(), strict=True))


def _array(values: dict[int, float], episodes: list[int]) -> NDArray[np.float64]:
    return np.array([values[episode] for episode in episodes])


def front(found: list[Point], agents: list[str]) -> go.Figure:
    """Share of solved tasks over cost a task, one point per condition; lines join those that no other one dominates."""
    traces = []
    for agent in dict.fromkeys(point.agent for point in found):
        mine = sorted((point for point in found if point.agent == agent), key=lambda point: point.compared.cost or 0.0)
        best, kept = -1.0, []
        for point in mine:
            if point.compared.solved > best:
                best = point.compared.solved
                kept.append(point)
        shade = colour(agents.index(agent))
        traces.append(
            go.Scatter(
                x=[point.compared.cost for point in kept], y=[point.compared.solved for point in kept], mode="lines",
                line={"color": shade, "width": 1, "shape": "hv", "dash": "dot"}, hoverinfo="skip",
            )
        )  # fmt: skip
        traces.append(
            go.Scatter(
                x=[point.compared.cost for point in mine], y=[point.compared.solved for point in mine],
                mode="markers+text", marker={"color": shade, "size": 10},
                text=[escape(point.condition) if point in kept else "" for point in mine], textposition="top center",
                hovertext=[_hover(point) for point in mine], hoverinfo="text",
            )
        )  # fmt: skip
    figure = plain(*traces, height=380)
    figure.update_xaxes(title="cost a task", rangemode="tozero")
    return figure.update_yaxes(title="solved", tickformat=".0%")


def _hover(point: Point) -> str:
    row = point.compared
    lines = [f"<b>{escape(point.agent)}</b>", escape(point.condition), f"solved {100 * row.solved:.0f} %"]
    lines += [f"cost a task {number(row.cost or 0.0)}", f"{number(point.turns)} turns"]
    return "<br>".join(lines)


def volumes(found: list[Point]) -> str:
    """The hypervolume of each agent's front, as a share of a task solved at no cost, up to its greatest cost."""
    said = []
    for agent in dict.fromkeys(point.agent for point in found):
        pairs = [(point.compared.cost or 0.0, point.compared.solved) for point in found if point.agent == agent]
        worst = max(cost for cost, _ in pairs)
        if worst > 0:
            said.append(f"{agent} {hypervolume(pairs, worst) / worst:.3f}")
    return "Dominated share of the area up to the greatest cost (hypervolume): " + ", ".join(said) + "." if said else ""


def paired_table(found: list[Point], agents: list[str]) -> Markup:
    """One row per agent and condition."""
    rows = [Line(_entries(point, agents.index(point.agent))) for point in found]
    return write_table("Solved tasks and cost", "Paired comparison of conditions", HEADS, rows, note=NOTE)


def _entries(point: Point, index: int) -> list[Entry]:
    row = point.compared
    gain = tuple(100 * value for value in row.difference)
    saved = None if row.saving is None else tuple(100 * value for value in row.saving)
    return [
        Entry(point.agent, point.agent, agent=index), Entry(point.condition, point.condition),
        _number(row.tasks), _number(100 * row.solved, " %"), _number(point.turns), _number(row.cost),
        _number(row.cost_solved), _interval(gain, " points"), _number(row.p), _interval(saved, " %"),
    ]  # fmt: skip


def _number(value: float | None, unit: str = "") -> Entry:
    return Entry("–", "nan", "number") if value is None else Entry(number(value) + unit, repr(value), "number")


def _interval(values: tuple[float, ...] | None, unit: str) -> Entry:
    if values is None:
        return Entry("–", "nan", "number")
    value, low, high = values
    return Entry(number(value) + unit, repr(value), "number", interval=f"[{number(low)}, {number(high)}]")
