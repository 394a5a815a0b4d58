"""The first picture of a report: how much of its nominal return each agent keeps under each kind of trouble."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from agentgym.evaluation.report.figures import MISSING, colour, plain
from agentgym.evaluation.report.panels import Cell, Panel
from agentgym.evaluation.report.plots import Page, Section
from agentgym.evaluation.report.rendering import render
from agentgym.evaluation.report.words import interval, number
from agentgym.stats import Estimate, bootstrap_interval

__all__ = ["Kept", "Trouble", "first_picture", "kept", "troubles"]

FEW, MOST = 3, 16  # with fewer tabs, one row per plot, unless there are more plots than this
GREY = "rgba(127,127,127,0.95)"  # seen on every bar and on both backgrounds
SHARES = (
    "Bar: mean over all conditions of this kind, as a percentage of the agent's return in the undisturbed environment. "
    "Line: 95 % bootstrap interval over episodes, for this one trained agent. Diamond: the worst single condition."
)
RETURNS = (
    "Dot: mean return over all conditions of this kind, with its 95 % bootstrap interval over episodes, for this one "
    "trained agent. Diamond: the worst single condition. Dotted: return in the undisturbed environment."
)
BEYOND = " Arrow: beyond the axis, which ends {times} nominal returns below zero, with its value."
LOWEST = 2.0  # nominal returns below zero at which the axis of returns ends
LOST = " Conditions in which an agent finished no episode are left out of its mean: point at the row for their number."


@dataclass(frozen=True)
class Trouble:
    """One kind of trouble: the conditions of a tab, or of one of its plots.

    Attributes:
        name: shown beside the row.
        cells: the cells by agent.
    """

    name: str
    cells: dict[str, list[Cell]]


@dataclass(frozen=True)
class Kept:
    """What an agent keeps under one kind of trouble.

    Attributes:
        mean: mean over the conditions, as a fraction of the nominal return or as a return.
        worst: the least condition, in the same unit.
        worst_condition: its name.
        lost: number of conditions without a finished episode.
    """

    mean: Estimate
    worst: float
    worst_condition: str
    lost: int


def first_picture(page: Page) -> Markup:
    """The section above the summary; empty if the suites have nothing but the undisturbed environment."""
    rows = troubles(page.panels)
    if not rows:
        return Markup()
    agents = [agent.name for agent in page.evaluation.agents]
    shares = all(agent in page.nominal and page.nominal[agent].value > 0.0 for agent in agents) and all(
        cell.mean.value >= 0.0 for row in rows for cells in row.cells.values() for cell in cells if cell.finished
    )
    undisturbed = _undisturbed(page.panels) if shares else {}
    found = {row.name: {agent: kept(row.cells[agent], undisturbed.get(agent)) for agent in agents} for row in rows}
    heading = "How much of its nominal return each agent keeps" if shares else "Mean return under each kind of trouble"
    lost = any(one and one.lost for row in found.values() for one in row.values())
    low = -math.inf if shares else _lowest(found, page.nominal)
    note = (SHARES if shares else RETURNS) + (BEYOND.format(times=f"{LOWEST:g}") if math.isfinite(low) else "")
    note += LOST if lost else ""
    figure = _bars(found) if shares else _dots(found, page.nominal, low)
    plot = page.plot(figure, _described(found, heading, shares))
    notes = (_levels(page.nominal), note) if shares else (note,)
    return render("plots.html", sections=[Section(heading, [plot], notes)], legend=[], key="", note="")


def _levels(nominal: dict[str, Estimate]) -> str:
    """What the shares are shares of: an agent that keeps all of a small return is not the better one."""
    each = [f"{number(value.value)} {interval(value)}".rstrip() + f" for {agent}" for agent, value in nominal.items()]
    return f"100 % is a return of {', '.join(each)}."


def troubles(panels: Sequence[Panel]) -> list[Trouble]:
    """The rows: one per tab, or one per plot where there are few of either."""
    scored = [panel for panel in panels if panel.kind != "nominal" and panel.means()]
    tabs = list(dict.fromkeys(panel.tab for panel in scored))
    if len(tabs) < FEW and len(scored) <= MOST:
        return [Trouble(_name(panel, len(tabs)), panel.cells) for panel in scored]
    return [_together(tab, [panel for panel in scored if panel.tab == tab]) for tab in tabs]


def _name(panel: Panel, tabs: int) -> str:
    return panel.name if tabs == 1 or panel.tab == panel.name else f"{panel.tab}: {panel.name}"


def _together(tab: str, panels: list[Panel]) -> Trouble:
    agents = panels[0].cells
    return Trouble(tab, {agent: [cell for panel in panels for cell in panel.cells[agent]] for agent in agents})


def _undisturbed(panels: Sequence[Panel]) -> dict[str, NDArray[np.float64]]:
    """The nominal episodes of each agent."""
    panel = next(panel for panel in panels if panel.kind == "nominal")
    return {agent: cells[0].returns for agent, cells in panel.cells.items()}


def kept(cells: Sequence[Cell], undisturbed: NDArray[np.float64] | None = None) -> Kept | None:
    """One agent under one kind of trouble.

    Args:
        cells: its conditions.
        undisturbed: its nominal returns, of whose mean the result is a fraction; None for returns.

    Returns:
        None if no condition has a finished episode. The interval of a fraction redraws the nominal episodes as well.
    """
    known = [cell for cell in cells if cell.finished]
    if not known:
        return None
    returns = [cell.returns for cell in known]
    if undisturbed is None:
        unit, mean = 1.0, bootstrap_interval(returns, np.mean, within=np.mean)
    else:
        unit, mean = float(undisturbed.mean()), bootstrap_interval([undisturbed, *returns], _share, within=np.mean)
    least = min(known, key=lambda cell: cell.mean.value)
    return Kept(mean, least.mean.value / unit, least.condition, len(cells) - len(known))


def _share(means: NDArray[np.float64], *, axis: int) -> ArrayLike:
    """Means of conditions, the nominal one first -> mean of the others as a fraction of it."""
    assert axis == -1
    with np.errstate(divide="ignore", invalid="ignore"):  # a redrawn nominal mean can be 0
        return means[..., 1:].mean(axis=-1) / means[..., 0]


Found = dict[str, dict[str, Kept | None]]


def _bars(found: Found) -> go.Figure:
    """Bars from 0 to the share, with a line at the nominal return."""
    traces: list[Any] = []
    places, height = _places(found)
    reach, labels = 1.0, []
    for index, (agent, rows) in enumerate(_by_agent(found).items()):
        ys = [places[name, agent] for name in rows]
        values = [one.mean.value for one in rows.values()]
        reach = max(reach, *values, *(one.mean.high for one in rows.values() if math.isfinite(one.mean.high)))
        traces.append(
            go.Bar(
                x=values, y=ys, orientation="h", width=0.8 / len(places) * len(found), marker={"color": colour(index)},
                error_x=_error(rows, GREY), hovertext=_hovers(agent, rows, shares=True), hoverinfo="text",
            )
        )  # fmt: skip
        labels += [
            {"text": f"{100 * value:.0f} %", "y": y, "x": 1.0, "xref": "paper", "xanchor": "left", "showarrow": False}
            for value, y in zip(values, ys, strict=True)
        ]
        traces.append(_worst(agent, rows, ys, shares=True))
    figure = plain(*traces, height=height, barmode="overlay", annotations=labels)
    figure.update_layout(margin={"r": 46})
    figure.add_vline(x=1.0, line={"dash": "dot", "width": 1, "color": MISSING})
    figure.update_xaxes(title="share of the nominal return", range=[0.0, 1.04 * reach], tickformat=".0%")
    return _rows(figure, found)


def _lowest(found: Found, nominal: dict[str, Estimate]) -> float:
    """Where the axis of returns ends, so that a catastrophe does not hide the rest; -inf if all of it is shown."""
    low = -LOWEST * max((abs(level.value) for level in nominal.values()), default=0.0)
    least = min((min(one.worst, one.mean.value) for row in found.values() for one in row.values() if one), default=0.0)
    return low if least < 4.0 * low < 0.0 else -math.inf


def _dots(found: Found, nominal: dict[str, Estimate], low: float) -> go.Figure:
    """Dots with intervals, where returns have no meaningful share. What is below ``low`` is an arrow at the edge."""
    traces: list[Any] = []
    places, height = _places(found)
    for index, (agent, rows) in enumerate(_by_agent(found).items()):
        ys = [places[name, agent] for name in rows]
        traces.append(
            go.Scatter(
                y=ys, error_x=_error(rows, colour(index), low), hovertext=_hovers(agent, rows, shares=False),
                **_marks([one.mean.value for one in rows.values()], low, "circle"),
            )
        )  # fmt: skip
        traces[-1].marker.update(color=colour(index), size=11)
        traces.append(_worst(agent, rows, ys, shares=False, low=low))
        if agent in nominal:
            line = {"color": colour(index), "dash": "dot", "width": 1}
            level = [nominal[agent].value] * 2
            traces.append(go.Scatter(x=level, y=[-0.5, len(found) - 0.5], mode="lines", line=line, hoverinfo="skip"))
    figure = plain(*traces, height=height)
    figure.update_xaxes(title="mean return")
    if math.isfinite(low):
        shown = [
            end for row in found.values() for one in row.values() if one for end in (one.mean.value, one.mean.high)
        ]
        high = max(low, *(end for end in [*shown, *(level.value for level in nominal.values())] if math.isfinite(end)))
        figure.update_xaxes(range=[low, high + 0.05 * (high - low)])
    return _rows(figure, found)


def _marks(values: list[float], low: float, symbol: str) -> dict[str, Any]:
    """Marks at values, or arrows at ``low`` with the value where it is below."""
    below = [value < low for value in values]
    return {
        "x": [max(value, low) for value in values], "mode": "markers+text", "hoverinfo": "text", "cliponaxis": False,
        "text": [number(value) if is_below else "" for value, is_below in zip(values, below, strict=True)],
        "textposition": "middle right",
        "marker": {"symbol": ["triangle-left" if is_below else symbol for is_below in below]},
    }  # fmt: skip


def _rows(figure: go.Figure, found: Found) -> go.Figure:
    """The names of the rows, wrapped for narrow screens."""
    names = ["<br>".join(textwrap.wrap(escape(name), 20)) for name in found]
    return figure.update_yaxes(
        tickvals=list(range(len(found))), ticktext=names, range=[len(found) - 0.5, -0.5], showgrid=False, ticks=""
    )


def _places(found: Found) -> tuple[dict[tuple[str, str], float], int]:
    """The height of each row and agent on the axis, and of the figure in pixels."""
    agents = list(next(iter(found.values())))
    step = 0.8 / len(agents)
    places = {
        (name, agent): row + step * (index - (len(agents) - 1) / 2)
        for row, name in enumerate(found)
        for index, agent in enumerate(agents)
    }
    return places, 70 + len(found) * max(44, 12 + 22 * len(agents))


def _by_agent(found: Found) -> dict[str, dict[str, Kept]]:
    """What is known, by agent and row."""
    agents = list(next(iter(found.values())))
    return {agent: {name: one for name, row in found.items() if (one := row[agent])} for agent in agents}


def _error(rows: dict[str, Kept], shade: str, low: float = -math.inf) -> dict[str, Any]:
    means = [one.mean for one in rows.values()]
    above, below = (
        [
            abs(getattr(mean, end) - mean.value) if math.isfinite(getattr(mean, end)) and mean.value >= low else 0.0
            for mean in means
        ]
        for end in ("high", "low")
    )
    return {"array": above, "arrayminus": below, "color": shade, "thickness": 2, "width": 4}


def _worst(agent: str, rows: dict[str, Kept], ys: list[float], shares: bool, low: float = -math.inf) -> go.Scatter:
    texts = [
        f"<b>{escape(agent)}</b><br>worst: {escape(one.worst_condition)}<br>{_value(one.worst, shares)}"
        for one in rows.values()
    ]
    worst = go.Scatter(y=ys, hovertext=texts, **_marks([one.worst for one in rows.values()], low, "diamond"))
    # One number where the mean is beyond the axis as well
    worst.text = ["" if one.mean.value < low else text for one, text in zip(rows.values(), worst.text, strict=True)]
    worst.marker.update(size=9, color="#ffffff", line={"width": 1.5, "color": "#1b1f24"})
    return worst


def _hovers(agent: str, rows: dict[str, Kept], shares: bool) -> list[str]:
    return [f"<b>{escape(agent)}</b><br>{escape(name)}<br>{_said(one, shares)}" for name, one in rows.items()]


def _said(one: Kept, shares: bool) -> str:
    ends = Estimate(*(100.0 * end for end in (one.mean.value, one.mean.low, one.mean.high))) if shares else one.mean
    lost = f", {one.lost} without a finished episode" if one.lost else ""
    return f"{_value(one.mean.value, shares)} {interval(ends)}".rstrip() + lost


def _value(value: float, shares: bool) -> str:
    return f"{100.0 * value:.0f} % of the nominal return" if shares else f"return {number(value)}"


def _described(found: Found, heading: str, shares: bool) -> str:
    """The picture in words, for screen readers."""
    rows = [
        f"{name}: " + ", ".join(f"{agent} {_said(one, shares)}" for agent, one in row.items() if one)
        for name, row in found.items()
    ]
    return f"{heading}. " + "; ".join(rows)
