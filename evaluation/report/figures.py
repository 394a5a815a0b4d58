"""The report's plotly figures. Colours that depend on the light or dark theme are set by page.js."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from agentgym.evaluation.report.panels import Cell, Panel
from agentgym.evaluation.report.words import hover, number
from agentgym.stats import Estimate, performance_profile

__all__ = ["COLOURS", "colour", "curves", "nominal", "place", "plain", "profile"]

# Okabe and Ito 2008: distinguishable with all common kinds of colour vision, on white and on dark.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot")
MISSING = "#9a9a9a"


def colour(index: int) -> str:
    """The colour of an agent, by its index."""
    return COLOURS[index % len(COLOURS)]


def plain(*traces: Any, height: int = 300, **layout: Any) -> go.Figure:
    """A figure without plotly's own theme."""
    figure = go.Figure(list(traces), layout_template=go.layout.Template())
    figure.update_layout(
        height=height, margin={"l": 62, "r": 14, "t": 10, "b": 48}, showlegend=False, hovermode="closest",
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", **layout,
    )  # fmt: skip
    axes = {"zeroline": False, "automargin": True, "ticks": "outside", "ticklen": 4}
    return figure.update_xaxes(**axes).update_yaxes(**axes)


def curves(
    panel: Panel, axis: str, references: dict[str, Estimate], span: tuple[float, float], title: str
) -> go.Figure:
    """Mean return over one coordinate, with bands of the 95 % interval, for all agents in one plot.

    Args:
        panel: the plot; its cells differ in ``axis``.
        axis: the coordinate.
        references: nominal returns, drawn as dotted lines.
        span: minimum and maximum return shown, equal for plots shown together.
        title: title of the horizontal axis.
    """
    places = panel.values(axis)
    named = any(isinstance(place, str) for place in places)
    traces: list[Any] = []
    for index, (agent, cells) in enumerate(panel.cells.items()):
        ordered = sorted(cells, key=lambda cell: places.index(cell.coordinates[axis]))
        if agent in references:
            level = [references[agent].value] * 2
            line = {"color": colour(index), "dash": "dot", "width": 1}
            traces.append(
                go.Scatter(x=[place(places[0]), place(places[-1])], y=level, mode="lines", line=line, hoverinfo="skip")
            )
        traces += _band(ordered, axis, index)
        traces.append(_line(agent, [cell for cell in ordered if cell.finished], axis, index))
        traces.append(_failed(agent, [cell for cell in ordered if not cell.finished], axis, span[0]))
    figure = plain(*traces)
    figure.update_xaxes(title=title, type="category" if named else "linear")
    return figure.update_yaxes(title="mean return", range=padded(span))


def place(value: float | str) -> float | str:
    """A coordinate for plotly. Names are escaped, since plotly reads tick labels as HTML."""
    return escape(value) if isinstance(value, str) else value


def padded(span: tuple[float, float]) -> list[float]:
    """The span with some space at both ends for markers."""
    margin = 0.06 * (span[1] - span[0]) or max(1.0, 0.1 * abs(span[0]))
    return [span[0] - margin, span[1] + margin]


def _line(agent: str, cells: list[Cell], axis: str, index: int) -> go.Scatter:
    return go.Scatter(
        x=[place(cell.coordinates[axis]) for cell in cells],
        y=[cell.mean.value for cell in cells],
        mode="lines+markers",
        line={"color": colour(index), "width": 2, "dash": DASHES[index // len(COLOURS) % len(DASHES)]},
        marker={"size": 7, "symbol": ["circle-open" if cell.failed else "circle" for cell in cells]},
        hovertext=[hover(agent, cell) for cell in cells],
        hoverinfo="text",
    )


def _band(cells: list[Cell], axis: str, index: int) -> list[go.Scatter]:
    """The area between the ends of the intervals, interrupted where an interval is unknown."""
    pieces: list[list[Cell]] = [[]]
    for cell in cells:
        if np.isfinite(cell.mean.low):
            pieces[-1].append(cell)
        elif pieces[-1]:
            pieces.append([])
    return [
        go.Scatter(
            x=[place(cell.coordinates[axis]) for cell in (*piece, *reversed(piece))],
            y=[cell.mean.low for cell in piece] + [cell.mean.high for cell in reversed(piece)],
            fill="toself", fillcolor=colour(index), opacity=0.18, mode="lines", line={"width": 0}, hoverinfo="skip",
        )
        for piece in pieces
        if len(piece) > 1
    ]  # fmt: skip


def _failed(agent: str, cells: list[Cell], axis: str, level: float) -> go.Scatter:
    """Grey crosses at the bottom of the plot for conditions without a result; the hover text gives the reason."""
    return go.Scatter(
        x=[place(cell.coordinates[axis]) for cell in cells],
        y=[level] * len(cells),
        mode="markers",
        marker={"symbol": "x", "size": 9, "color": MISSING},
        hovertext=[hover(agent, cell) for cell in cells],
        hoverinfo="text",
    )


def nominal(panel: Panel) -> go.Figure:
    """Every nominal episode of every agent, one row per agent."""
    boxes = []
    for index, (_, cells) in enumerate(panel.cells.items()):
        returns = [value for cell in cells for value in cell.returns.tolist()]
        boxes.append(
            go.Box(
                x=returns, y=[index] * len(returns), orientation="h", boxpoints="all", jitter=0.6, pointpos=0,
                marker={"color": colour(index), "size": 5, "opacity": 0.7}, line={"color": colour(index), "width": 1},
                fillcolor="rgba(0,0,0,0)", hoverinfo="x",
            )
        )  # fmt: skip
    figure = plain(*boxes, height=90 + 46 * len(boxes))
    figure.update_xaxes(title="return of an episode")
    return figure.update_yaxes(showticklabels=False, ticks="", range=[len(boxes) - 0.5, -0.5])


def profile(panels: Sequence[Panel]) -> go.Figure:
    """For every return tau, the fraction of conditions with a mean return above it; one curve per agent.

    A condition without a finished episode counts as below every tau.
    """
    lines = []
    edges = [mean for panel in panels for mean in panel.means()]
    for index, agent in enumerate(panels[0].cells):
        cells = [cell for panel in panels for cell in panel.cells[agent]]
        means = sorted(cell.mean.value for cell in cells if cell.finished)
        if not means:
            continue
        thresholds = [min(edges), *means, max(edges)]
        above = performance_profile(means, thresholds) * (len(means) / len(cells))
        lines.append(
            go.Scatter(
                x=thresholds,
                y=above.tolist(),
                mode="lines",
                line={"color": colour(index), "width": 2, "shape": "hv", "dash": DASHES[index // len(COLOURS) % 3]},
                hovertext=[
                    f"<b>{escape(agent)}</b><br>{100 * part:.0f} % of conditions above {number(tau)}"
                    for tau, part in zip(thresholds, above, strict=True)
                ],
                hoverinfo="text",
            )
        )  # fmt: skip
    figure = plain(*lines)
    figure.update_xaxes(title="return τ")
    return figure.update_yaxes(title="conditions above τ", range=[-0.03, 1.03], tickformat=".0%")
