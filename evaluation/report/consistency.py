"""Predicted against achieved returns, for agents that predict the return at the start of an episode."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup

from agentgym.evaluation.report.figures import MISSING, colour, padded, plain
from agentgym.evaluation.report.panels import Cell, Panel, promising
from agentgym.evaluation.report.plots import Page, Section
from agentgym.evaluation.report.rendering import render
from agentgym.evaluation.report.words import hover

__all__ = ["consistency", "consistency_tab"]

NOTE = (
    "One point per condition: the mean of what the agent promised at the start of its episodes, and the mean of what "
    "they returned with its 95 % interval. On the dashed line promises are kept, below it they are broken. Diamond: "
    "the undisturbed environment. All plots have one scale."
)


def consistency_tab(page: Page) -> Markup:
    """The tab's body, with one plot per agent; empty if no agent predicts returns."""
    found = promising(page.panels)
    if not found:
        return Markup()
    span = _reach([cell for cells in found.values() for cell, _ in cells])
    places = {agent.name: index for index, agent in enumerate(page.evaluation.agents)}
    sections = []
    for agent, cells in found.items():
        figure = consistency(agent, cells, places[agent], span)
        plot = page.plot(figure, f"{agent}: promised against achieved return")
        sections.append(Section(agent, [plot], wide=False, agent=places[agent]))
    return render("plots.html", sections=sections, legend=[], key="", note=NOTE)


def consistency(agent: str, cells: Sequence[tuple[Cell, Panel]], index: int, span: tuple[float, float]) -> go.Figure:
    """One agent's plot.

    Args:
        agent: its name.
        cells: its cells with a promise, each with its panel.
        index: index of the agent, which selects its colour.
        span: minimum and maximum of both axes.
    """
    ends = padded(span)
    kept = go.Scatter(
        x=ends, y=ends, mode="lines", line={"color": MISSING, "dash": "dash", "width": 1}, hoverinfo="skip"
    )
    nominal = [cell for cell, panel in cells if panel.kind == "nominal"]
    others = [cell for cell, panel in cells if panel.kind != "nominal"]
    figure = plain(kept, _points(agent, others, index), _points(agent, nominal, index, nominal=True), height=380)
    figure.update_xaxes(title="promised return", range=ends)
    return figure.update_yaxes(title="mean return", range=ends)


def _points(agent: str, cells: Sequence[Cell], index: int, nominal: bool = False) -> go.Scatter:
    known = [math.isfinite(cell.mean.low) for cell in cells]
    above, below = (
        [
            abs(getattr(cell.mean, end) - cell.mean.value) if sure else 0.0
            for cell, sure in zip(cells, known, strict=True)
        ]
        for end in ("high", "low")
    )
    marker: dict[str, Any] = {"color": colour(index), "size": 8, "opacity": 0.75}
    if nominal:
        marker = {"color": colour(index), "size": 15, "symbol": "diamond-open", "line": {"width": 3}}
    return go.Scatter(
        x=[cell.promised for cell in cells],
        y=[cell.mean.value for cell in cells],
        error_y={"array": above, "arrayminus": below, "color": colour(index), "thickness": 1, "width": 0},
        mode="markers", marker=marker, hoverinfo="text",
        hovertext=[hover(agent, cell).replace("<br>", f"<br>{escape(cell.condition)}<br>", 1) for cell in cells],
    )  # fmt: skip


def _reach(cells: Sequence[Cell]) -> tuple[float, float]:
    ends = [end for cell in cells for end in (cell.promised, cell.mean.value, cell.mean.low, cell.mean.high)]
    finite = [end for end in ends if math.isfinite(end)]
    return min(finite), max(finite)
