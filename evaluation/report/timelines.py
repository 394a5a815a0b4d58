"""Single episodes of text worlds, turn by turn: one line an episode, one marker a turn."""

from collections.abc import Mapping, Sequence
from html import escape
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from agentgym.evaluation.report.figures import COLOURS, MISSING, plain

__all__ = ["NOTE", "figure"]

NOTE = (
    "One line an episode, one marker a turn: point at it for the command and what it brought. The mark at the end of a "
    "line says whether the task was solved (✓, ✗); a bar before it says that a control of turns ended the work."
)
GREATEST = len(COLOURS)  # verbs with a colour of their own
WIDTH = 70  # characters of a line of hover text


def figure(told: Sequence[Mapping[str, Any]]) -> go.Figure:
    """The episodes of one agent.

    Args:
        told: of :func:`agentgym.evaluation.timeline.timeline`.
    """
    told = sorted(told, key=lambda one: one["episode"])  # equal tasks below each other
    names = [_name(one) for one in told]
    verbs = [turn[0].partition(" ")[0] for one in told for turn in one["turns"]]
    common = sorted(dict.fromkeys(verbs), key=lambda verb: -verbs.count(verb))[:GREATEST]
    traces: list[Any] = [
        go.Scatter(
            x=[1, len(one["turns"])], y=[name] * 2, mode="lines", line={"color": MISSING, "width": 1}, hoverinfo="skip",
            showlegend=False,
        )
        for one, name in zip(told, names, strict=True)
    ]  # fmt: skip
    for verb in [*common, ""]:
        marks = [
            (number, name, turn) for one, name in zip(told, names, strict=True)
            for number, turn in enumerate(one["turns"], 1) if _is_of(turn, verb, common)
        ]  # fmt: skip
        if marks:
            shade = COLOURS[common.index(verb)] if verb else MISSING
            traces.append(_markers(marks, escape(verb) or "other", shade))
    traces.append(_ends(told, names))
    drawn = plain(*traces, height=110 + 19 * len(told))
    drawn.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0})
    drawn.update_xaxes(title="turn", rangemode="tozero")
    return drawn.update_yaxes(type="category", categoryorder="array", categoryarray=names[::-1])


def _name(one: Mapping[str, Any]) -> str:
    return f"task {one['episode'] + 1}, {escape(one['condition'])}"


def _is_of(turn: Sequence[str], verb: str, common: Sequence[str]) -> bool:
    own = turn[0].partition(" ")[0]
    return own == verb if verb else own not in common


def _markers(marks: Sequence[tuple[int, str, Sequence[str]]], name: str, shade: str) -> go.Scatter:
    return go.Scatter(
        x=[number for number, _, _ in marks], y=[line for _, line, _ in marks], mode="markers", name=name,
        marker={"color": shade, "size": 9}, hoverinfo="text",
        hovertext=[f"<b>{number}: {_lines(turn[0])}</b><br>{_lines(turn[1])}" for number, _, turn in marks],
    )  # fmt: skip


def _ends(told: Sequence[Mapping[str, Any]], names: Sequence[str]) -> go.Scatter:
    return go.Scatter(
        x=[len(one["turns"]) + 0.8 for one in told], y=names, mode="text", text=[_end(one) for one in told],
        textposition="middle right", hoverinfo="text", hovertext=[_outcome(one) for one in told], showlegend=False,
    )  # fmt: skip


def _end(one: Mapping[str, Any]) -> str:
    mark = "!" if one["error"] else {True: "✓", False: "✗", None: "?"}[one["success"]]
    return f"| {mark}" if one["stopped"] else mark


def _outcome(one: Mapping[str, Any]) -> str:
    if one["error"]:
        return _lines(one["error"])
    outcome = {True: "solved", False: "not solved", None: "no verdict"}[one["success"]]
    by = ", submitted by the control" if one["stopped"] else ""
    return f"{outcome} after {len(one['turns'])} turns{by}"


def _lines(text: str) -> str:
    return "<br>".join(escape(line) for line in wrap(text, WIDTH))
