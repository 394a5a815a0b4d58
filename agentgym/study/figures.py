"""The plotly figures of a study's page, in the style of the robustness report."""

import math
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from agentgym.evaluation.report.figures import COLOURS, DASHES, colour, plain
from agentgym.evaluation.report.words import interval, number
from agentgym.stats import Estimate
from agentgym.study.evidence import Band, Evidence

__all__ = ["curves", "estimates", "finals", "profile"]

THRESHOLDS = 101  # of a performance profile


def _line(index: int) -> dict[str, Any]:
    return {"color": colour(index), "width": 2, "dash": DASHES[index // len(COLOURS) % len(DASHES)]}


def finals(evidence: Evidence, env: str, order: Mapping[str, int], labels: Mapping[str, str]) -> go.Figure:
    """The final scores in one environment: every run a ring, the statistic with its interval a dot."""
    agents = [agent for agent in order if evidence.runs(agent, env)]
    traces: list[Any] = []
    for place, agent in enumerate(agents):
        runs, found = evidence.runs(agent, env), evidence.final(agent, env)
        traces.append(
            go.Scatter(
                x=list(runs.values()), y=[place] * len(runs), mode="markers",
                marker={"symbol": "circle-open", "size": 7, "color": colour(order[agent]), "opacity": 0.6},
                hovertext=[f"{escape(labels[agent])}<br>seed {seed}: {number(x)}" for seed, x in runs.items()],
                hoverinfo="text",
            )
        )  # fmt: skip
        traces.append(_dot(found, place, order[agent], f"{labels[agent]}, {len(runs)} runs"))
    return _rows(traces, [labels[agent] for agent in agents], evidence.protocol.score.replace("_", " "))


def estimates(found: Mapping[str, Estimate], order: Mapping[str, int], labels: Mapping[str, str], title: str,
              zero: float | None = None) -> go.Figure:  # fmt: skip
    """Estimates with intervals, one row each; ``zero`` is drawn as a line."""
    names = [name for name in found if math.isfinite(found[name].value)]
    traces = [_dot(found[name], place, order.get(name, 0), labels[name]) for place, name in enumerate(names)]
    figure = _rows(traces, [labels[name] for name in names], title)
    if zero is not None:
        figure.add_vline(x=zero, line={"width": 1, "color": "#9a9a9a", "dash": "dot"})
    return figure


def _dot(found: Estimate, place: int, index: int, label: str) -> go.Scatter:
    known = math.isfinite(found.low)
    return go.Scatter(
        x=[found.value], y=[place], mode="markers", marker={"size": 11, "color": colour(index)},
        error_x={
            "type": "data", "symmetric": False, "array": [found.high - found.value if known else 0.0],
            "arrayminus": [found.value - found.low if known else 0.0], "color": colour(index), "thickness": 2.5,
            "width": 0,
        },
        hovertext=[f"<b>{escape(label)}</b><br>{number(found.value)} {interval(found)}".rstrip()], hoverinfo="text",
    )  # fmt: skip


def _rows(traces: list[Any], names: list[str], title: str) -> go.Figure:
    figure = plain(*traces, height=88 + 30 * max(1, len(names)))
    figure.update_xaxes(title=escape(title))
    texts = [escape(name if len(name) < 32 else f"{name[:30]}…") for name in names]
    return figure.update_yaxes(
        tickmode="array", tickvals=list(range(len(names))), ticktext=texts, ticks="", showgrid=False,
        range=[len(names) - 0.4, -0.6],
    )  # fmt: skip


def curves(
    bands: Mapping[str, Band], order: Mapping[str, int], labels: Mapping[str, str], x: str, y: str, steps: bool = False
) -> go.Figure:
    """Learning curves of all agents in one environment with the bands of their intervals; ``steps`` draws stairs."""
    traces: list[Any] = []
    for agent, band in bands.items():
        line = {**_line(order[agent]), "shape": "hv" if steps else "linear"}
        if np.isfinite(band.low).all():
            traces += _band(band, line)
        told = [
            f"<b>{escape(labels[agent])}</b>, {band.runs} runs<br>{number(at)} {x}<br>{number(value)} "
            + interval(Estimate(value, low, high))
            for at, value, low, high in zip(band.x, band.value, band.low, band.high, strict=True)
        ]
        traces.append(go.Scatter(x=band.x, y=band.value, mode="lines", line=line, hovertext=told, hoverinfo="text"))
    figure = plain(*traces)
    figure.update_xaxes(title=x)
    return figure.update_yaxes(title=escape(y))


def _band(band: Band, line: dict[str, Any]) -> list[go.Scatter]:
    """The area between both ends of the interval: an invisible line, and one that is filled down to it."""
    edge = {"mode": "lines", "line": {"width": 0, "shape": line["shape"]}, "hoverinfo": "skip", "opacity": 0.16}
    shade = "rgba({}, {}, {}, 0.16)".format(*(int(line["color"][i : i + 2], 16) for i in (1, 3, 5)))
    return [
        go.Scatter(x=band.x, y=band.low, **edge),
        go.Scatter(x=band.x, y=band.high, fill="tonexty", fillcolor=shade, **edge),
    ]


def profile(evidence: Evidence, agents: list[str], order: Mapping[str, int], labels: Mapping[str, str]) -> go.Figure:
    """For every normalised score, the share of runs above it."""
    scores = [score for agent in agents for env in evidence.common for score in evidence.normalised(agent, env)]
    thresholds = np.linspace(min(0.0, *scores) - 0.02, max(1.0, *scores) + 0.02, THRESHOLDS)
    bands = {}
    for agent in agents:
        value, low, high = evidence.profile(agent, thresholds)
        runs = sum(len(evidence.runs(agent, env)) for env in evidence.common)
        bands[agent] = Band(thresholds, value, low, high, runs)
    figure = curves(bands, order, labels, "normalised score τ", "share of runs above τ", steps=True)
    return figure.update_yaxes(range=[-0.03, 1.03], tickformat=".0%")
