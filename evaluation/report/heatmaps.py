"""Heat maps of parameter grids, of differences between two agents, and of train x test matrices."""

import math
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from agentgym.evaluation.report.figures import COLOURS, MISSING, plain
from agentgym.evaluation.report.panels import Cell, Panel, differences
from agentgym.evaluation.report.words import coordinate, hover, interval, number
from agentgym.stats import Estimate

__all__ = ["Map", "difference_map", "grid_maps", "matrix"]

LABELLED = 64  # maximum number of cells in which numbers are shown
OUTLINE = (-0.46, 0.46, 0.46, -0.46, -0.46), (-0.46, -0.46, 0.46, 0.46, -0.46)


@dataclass(frozen=True)
class Map:
    """A heat map with a title. A three-dimensional grid shows one slice at a time.

    Attributes:
        title: plain text.
        figure: the figure; traces of slice k have ``meta`` k.
    """

    title: str
    figure: go.Figure


def grid_maps(panel: Panel, first_slice: int) -> list[Map]:
    """One map per agent, on a common colour scale, with the worst cell framed."""
    means = panel.means()
    span = (min(means), max(means)) if means else (0.0, 1.0)
    maps = []
    for agent, cells in panel.cells.items():
        shown = [
            (cell, cell.mean.value if cell.finished else None, hover(agent, cell), bool(cell.failed)) for cell in cells
        ]
        worst = min((cell for cell in cells if cell.finished), key=lambda cell: cell.mean.value, default=None)
        figure = _sliced(panel, shown, first_slice, span, "Cividis", "mean return", worst)
        maps.append(Map(agent, figure))
    return maps


def difference_map(panel: Panel, first_slice: int) -> Map | None:
    """For exactly two agents, the second's mean return minus the first's; orange where the second is better."""
    if len(panel.cells) != 2:
        return None
    first, second = panel.cells
    gaps = differences(panel, first, second)
    known = [abs(gap.value) for gap in gaps if math.isfinite(gap.value)]
    reach = max(known, default=0.0) or 1.0
    shown = []
    for left, right, gap in zip(panel.cells[first], panel.cells[second], gaps, strict=True):
        value = gap.value if math.isfinite(gap.value) else None
        shown.append((left, value, _difference_hover(left, right, gap, first, second), value is None))
    scale = [[0.0, COLOURS[0]], [0.5, "#f3f3f3"], [1.0, COLOURS[1]]]
    figure = _sliced(panel, shown, first_slice, (-reach, reach), scale, "difference", None)
    return Map(f"{second} − {first}", figure)


def matrix(panel: Panel, trained_in: dict[str, str]) -> go.Figure:
    """Mean return of every agent (row) in every test environment (column), with numbers."""
    tests = [str(value) for value in panel.values("test")]
    agents = list(panel.cells)
    by_test = [{str(cell.coordinates["test"]): cell for cell in cells} for cells in panel.cells.values()]
    rows = [[cells.get(test) for test in tests] for cells in by_test]
    texts = [
        [hover(agent, cell) + f"<br>trained in {escape(trained_in[agent])}" if cell else "" for cell in row]
        for agent, row in zip(agents, rows, strict=True)
    ]
    means = panel.means() or [0.0, 1.0]
    z = [[cell.mean.value if cell and cell.finished else None for cell in row] for row in rows]
    failed = [[bool(cell and cell.failed) for cell in row] for row in rows]
    traces = _layers(z, texts, failed, (min(means), max(means)), "Cividis", "mean return", labelled=True)
    figure = plain(*traces, height=130 + 56 * len(agents))
    figure.update_xaxes(title="tested in", **_ticks({test: index for index, test in enumerate(tests)}))
    figure.update_yaxes(title="agent", **_ticks({agent: index for index, agent in enumerate(agents)}))
    return figure.update_yaxes(range=[len(agents) - 0.5, -0.5])


def worst_slice(panel: Panel) -> int:
    """The slice of a three-dimensional grid with the lowest mean return; 0 for other grids."""
    if len(panel.axes) < 3:
        return 0
    known = [cell for _, cell in panel.all_cells() if cell.finished]
    if not known:
        return 0
    return panel.values(panel.axes[2]).index(min(known, key=lambda cell: cell.mean.value).coordinates[panel.axes[2]])


Shown = list[tuple[Cell, float | None, str, bool]]  # cell, value, hover text, whether an episode failed


def _sliced(
    panel: Panel, shown: Shown, first_slice: int, span: tuple[float, float], scale: Any, title: str, worst: Cell | None
) -> go.Figure:  # fmt: skip
    """Place cells by index, so that all have the same size; ticks show the coordinates."""
    across, up, *third = panel.axes
    columns, lines = _places(panel, across), _places(panel, up)
    depth = panel.values(third[0]) if third else [None]
    traces = []
    for index, level in enumerate(depth):
        z: list[list[float | None]] = [[None] * len(columns) for _ in lines]
        texts, failed = [[""] * len(columns) for _ in lines], [[False] * len(columns) for _ in lines]
        for cell, value, text, broken in shown:
            if not third or cell.coordinates[third[0]] == level:
                row, column = lines[cell.coordinates[up]], columns[cell.coordinates[across]]
                z[row][column], texts[row][column], failed[row][column] = value, text, broken
        layers = _layers(z, texts, failed, span, scale, title, labelled=len(columns) * len(lines) <= LABELLED)
        if worst and (not third or worst.coordinates[third[0]] == level):
            layers += _frame(columns[worst.coordinates[across]], lines[worst.coordinates[up]])
        for layer in layers:
            layer.update(visible=index == first_slice, meta=index)
        traces += layers
    figure = plain(*traces, height=380)
    figure.update_xaxes(title=escape(across), **_ticks(columns))
    return figure.update_yaxes(title=escape(up), **_ticks(lines))


def _places(panel: Panel, axis: str) -> dict[float | str, int]:
    return {value: index for index, value in enumerate(panel.values(axis))}


def _layers(
    z: list[list[float | None]], texts: list[list[str]], failed: list[list[bool]], span: tuple[float, float],
    scale: Any, title: str, labelled: bool,
) -> list[Any]:  # fmt: skip
    """The values, and on top the cells without a value, in grey."""
    labels = [
        [_label(value, broken, labelled) for value, broken in zip(*row, strict=True)]
        for row in zip(z, failed, strict=True)
    ]
    bar = {"title": {"text": title, "side": "right"}, "thickness": 12, "outlinewidth": 0, "len": 1.0}
    common = {"hovertext": texts, "hoverinfo": "text", "hoverongaps": False, "xgap": 1, "ygap": 1}
    values = go.Heatmap(
        z=z, zmin=span[0], zmax=span[1], colorscale=scale, colorbar=bar, text=labels, texttemplate="%{text}", **common
    )
    unknown = [
        [1.0 if text and value is None else None for text, value in zip(*row, strict=True)]
        for row in zip(texts, z, strict=True)
    ]
    if not any(mark for row in unknown for mark in row):
        return [values]
    grey = go.Heatmap(
        z=unknown, zmin=0.0, zmax=1.0, colorscale=[[0.0, MISSING], [1.0, MISSING]], showscale=False,
        text=[["×" if mark else "" for mark in row] for row in unknown], texttemplate="%{text}", **common,
    )  # fmt: skip
    return [values, grey]


def _label(value: float | None, broken: bool, labelled: bool) -> str:
    if value is None:
        return ""
    return (number(value) if labelled else "") + ("!" if broken else "")


def _frame(column: int, row: int) -> list[go.Scatter]:
    """A frame around one cell, black inside white, visible on every colour."""
    x, y = ([at + side for side in sides] for at, sides in ((column, OUTLINE[0]), (row, OUTLINE[1])))
    return [
        go.Scatter(x=x, y=y, mode="lines", line={"color": shade, "width": width}, hoverinfo="skip")
        for shade, width in (("#ffffff", 5), ("#000000", 2))
    ]


def _ticks(places: dict[float | str, int]) -> dict[str, Any]:
    """At most twelve evenly spread labels."""
    every = math.ceil(len(places) / 12)
    labelled = list(places.items())[::every]
    return {
        "tickvals": [index for _, index in labelled],
        "ticktext": [escape(coordinate(value)) for value, _ in labelled],
        "range": [-0.5, len(places) - 0.5],
        "showgrid": False,
    }


def _difference_hover(left: Cell, right: Cell, gap: Estimate, first: str, second: str) -> str:
    lines = [f"{escape(axis)} = {escape(coordinate(value))}" for axis, value in left.coordinates.items()]
    lines += [f"{escape(agent)}: {number(cell.mean.value)}" for agent, cell in ((first, left), (second, right))]
    if math.isfinite(gap.value):
        lines.append(f"difference {number(gap.value)} {interval(gap)}".rstrip())
    else:
        lines.append("no pair of finished episodes")
    return "<br>".join(lines)
