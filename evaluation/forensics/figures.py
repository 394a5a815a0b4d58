"""Figures of the reports: accuracy by detector and fault, scores over time, the graph of contagion, the clean twin."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from agentgym.evaluation.forensics.examine import Examination
from agentgym.evaluation.report.figures import MISSING, colour, plain

__all__ = ["accuracy", "fault_line", "gaps", "graph", "returns", "timeline"]

Floats = NDArray[np.float64]


def accuracy(table: Sequence[dict[str, Any]], column: str = "accuracy") -> go.Figure:
    """A map of detectors by faults, in per cent."""
    rows = [row for row in table if row.get(column) is not None and "accuracy" in row]
    detectors, faults = (list(dict.fromkeys(row[name] for row in rows)) for name in ("detector", "fault"))
    by_cell = {(row["detector"], row["fault"]): row for row in rows}
    low, high = column.replace("accuracy", "low"), column.replace("accuracy", "high")
    z: list[list[float | None]] = []
    texts = []
    for detector in detectors:
        cells = [by_cell.get((detector, fault)) for fault in faults]
        z.append([None if cell is None else 100 * cell[column] for cell in cells])
        texts.append(
            [
                ""
                if cell is None
                else f"<b>{escape(detector)}</b>, {escape(fault)}<br>{100 * cell[column]:.1f} % "
                f"[{100 * cell[low]:.1f}, {100 * cell[high]:.1f}]<br>of {cell['episodes']} episodes"
                for cell, fault in zip(cells, faults, strict=True)
            ]
        )
    heat = go.Heatmap(
        z=z, x=faults, y=detectors, zmin=0, zmax=100, colorscale="Cividis", hoverinfo="text", hovertext=texts,
        text=[["" if value is None else f"{value:.0f}" for value in row] for row in z], texttemplate="%{text}",
        colorbar={"title": {"text": "%"}, "thickness": 12, "outlinewidth": 0}, xgap=1, ygap=1,
    )  # fmt: skip
    figure = plain(heat, height=130 + 30 * len(detectors))
    figure.update_xaxes(type="category", showgrid=False)
    return figure.update_yaxes(type="category", autorange="reversed", showgrid=False)


def timeline(ratios: Floats, flagged: int, since: int | None, suspect: int) -> go.Figure:
    """Scores over their threshold, one line for each agent.

    Args:
        ratios: [T, A].
        flagged: the step of the first flag; -1 for none.
        since: from which step the suspect failed; None for no detection.
        suspect: an agent, drawn thicker; -1 for nobody.
    """
    steps = list(range(len(ratios)))
    shown = np.clip(ratios, 1e-3, 1e6)  # the axis is logarithmic
    lines = [
        go.Scatter(
            x=steps, y=shown[:, agent].tolist(), mode="lines+markers",
            line={"color": colour(agent), "width": 3 if agent == suspect else 1.5}, marker={"size": 5},
            hoverinfo="text",
            hovertext=[f"agent {agent}, step {t}<br>{ratios[t, agent]:.3g} times the threshold" for t in steps],
        )
        for agent in range(ratios.shape[1])
    ]  # fmt: skip
    figure = plain(*lines, height=260)
    figure.add_hline(y=1.0, line={"color": MISSING, "dash": "dash", "width": 1.5})
    if since is not None:
        figure.add_vline(x=since, line={"color": colour(max(suspect, 0)), "dash": "dot", "width": 1.5})
    if flagged >= 0 and flagged != since:
        figure.add_vline(x=flagged, line={"color": MISSING, "dash": "dot", "width": 1.5})
    figure.update_xaxes(title="step")
    return figure.update_yaxes(title="score / threshold", type="log")


def graph(found: Examination, edges: str) -> go.Figure:
    """Agents on a circle; arrows where the pooled edge was above its clean quantile, at its largest since the onset."""
    pooled, scale = found.pooled[edges], found.examiner.graphs[edges].scale
    assert scale is not None
    start = 0 if found.finding is None else found.finding.since
    largest = pooled[start:].max(axis=0)
    agents = len(largest)
    angle = np.pi / 2 - 2 * np.pi * np.arange(agents) / agents
    place = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    over = np.argwhere((largest > scale.limit) & ~np.eye(agents, dtype=bool))
    most = max((largest[j, i] for j, i in over), default=1.0)
    arrows, labels = [], []
    for j, i in over:
        ahead = place[i] - place[j]
        unit = ahead / np.linalg.norm(ahead)
        side = 0.06 * np.array([-unit[1], unit[0]])  # so that both directions can be seen
        tail, head = place[j] + 0.2 * unit + side, place[i] - 0.2 * unit + side
        arrows.append(
            {
                "x": head[0], "y": head[1], "ax": tail[0], "ay": tail[1], "xref": "x", "yref": "y", "axref": "x",
                "ayref": "y", "showarrow": True, "arrowhead": 2, "arrowcolor": colour(int(j)), "text": "",
                "arrowwidth": float(1 + 3 * np.sqrt(max(largest[j, i], 0.0) / max(most, 1e-9))),
            }
        )  # fmt: skip
        middle = (tail + head) / 2 + side
        labels.append((*middle, f"agent {j} → agent {i}<br>{largest[j, i]:.1f} (clean limit {scale.limit[j, i]:.1f})"))
    suspect = -1 if found.finding is None else found.finding.agent
    nodes = go.Scatter(
        x=place[:, 0].tolist(), y=place[:, 1].tolist(), mode="markers+text", text=[str(k) for k in range(agents)],
        textfont={"color": "white", "size": 14}, hoverinfo="text",
        hovertext=[f"agent {k}{': failed first' if k == suspect else ''}" for k in range(agents)],
        marker={
            "size": 34, "color": [colour(k) for k in range(agents)],
            "line": {"width": [5 if k == suspect else 0 for k in range(agents)], "color": "#b3261e"},
        },
    )  # fmt: skip
    hover = go.Scatter(
        x=[x for x, _, _ in labels], y=[y for _, y, _ in labels], mode="markers", hoverinfo="text",
        marker={"size": 16, "color": "rgba(0,0,0,0)"}, hovertext=[text for _, _, text in labels],
    )  # fmt: skip
    figure = plain(nodes, hover, height=380, annotations=arrows)
    hidden = {"visible": False, "showgrid": False}
    figure.update_xaxes(range=[-1.9, 1.9], **hidden)
    return figure.update_yaxes(range=[-1.35, 1.35], scaleanchor="x", **hidden)


def returns(found: Examination) -> go.Figure:
    """The team's cumulated reward, and that of the clean twin."""
    episodes = found.episodes
    assert episodes.twin is not None
    lines = []
    for name, each, look in (
        ("clean twin", episodes.twin, {"color": MISSING, "dash": "dash", "width": 2}),
        ("episode", episodes, {"color": colour(0), "width": 2}),
    ):
        paid = np.where(each.alive, each.rewards, 0.0).sum(2)[0].cumsum()
        texts = [f"{name}, step {t}<br>{value:.4g}" for t, value in enumerate(paid)]
        lines.append(go.Scatter(y=paid.tolist(), mode="lines", line=look, hoverinfo="text", hovertext=texts))
    return fault_line(plain(*lines, height=240), found).update_yaxes(title="return so far")


def gaps(found: Examination) -> go.Figure:
    """How far each agent's observations are from its clean twin's."""
    episodes = found.episodes
    assert episodes.twin is not None
    apart = np.linalg.norm(episodes.received - episodes.twin.received, axis=-1)[0]
    lines = [
        go.Scatter(
            y=apart[:, agent].tolist(), mode="lines", line={"color": colour(agent), "width": 2}, hoverinfo="text",
            hovertext=[f"agent {agent}, step {t}<br>{value:.3g}" for t, value in enumerate(apart[:, agent])],
        )
        for agent in range(episodes.agents)
    ]  # fmt: skip
    return fault_line(plain(*lines, height=240), found).update_yaxes(title="distance of observations")


def fault_line(figure: go.Figure, found: Examination) -> go.Figure:
    """The figure with a line where the suspect failed."""
    if found.finding is not None:
        look = {"color": colour(found.finding.agent), "dash": "dot", "width": 1.5}
        figure.add_vline(x=found.finding.since, line=look)
    return figure.update_xaxes(title="step")
