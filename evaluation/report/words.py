"""The report's texts: formatted numbers, and the verdict computed from the rows."""

import math
import textwrap
from html import escape

from agentgym.evaluation.report.panels import Cell, Panel, differences, nominal_returns, promising
from agentgym.evaluation.table import Evaluation
from agentgym.stats import Estimate

__all__ = ["coordinate", "hover", "interval", "number", "share", "verdict"]


def number(value: float) -> str:
    """At least three significant digits, with thousands grouped; a dash for NaN.

    >>> number(12345.6), number(0.012345), number(-181.26)
    ('12 346', '0.0123', '−181')
    """
    if not math.isfinite(value):
        return "–"
    text = f"{value:,.0f}".replace(",", " ") if abs(value) >= 100.0 else f"{value:.3g}"
    return text.replace("-", "−")


def interval(estimate: Estimate) -> str:
    """The interval in brackets; empty if unknown."""
    return f"[{number(estimate.low)}, {number(estimate.high)}]" if math.isfinite(estimate.low) else ""


def coordinate(value: float | str) -> str:
    """Format a coordinate."""
    return value if isinstance(value, str) else f"{value:.4g}"


def share(value: float, nominal: Estimate | None) -> str:
    """``value`` as a percentage of the nominal return; empty if a percentage would be meaningless."""
    if nominal is None or nominal.value <= 0.0 or value < 0.0:
        return ""
    percent = 100.0 * value / nominal.value
    return f"{percent:.0f} %" if percent >= 0.95 or percent == 0.0 else f"{percent:.1g} %"


def hover(agent: str, cell: Cell) -> str:
    """The hover text of a cell, in plotly's subset of HTML."""
    lines = [f"<b>{escape(agent)}</b>"]
    lines += [f"{escape(axis)} = {escape(coordinate(value))}" for axis, value in cell.coordinates.items()]
    if cell.finished:
        lines.append(f"return {number(cell.mean.value)} {interval(cell.mean)}".rstrip())
        lines.append(f"{_count(cell.finished, 'episode')} of {number(cell.length)} steps")
        lines += [f"{escape(name)} {number(value)}" for name, value in cell.measures.items()]
    if cell.failed:
        lines.append(f"{_count(cell.failed, 'episode')} failed")
    if cell.error:
        lines.append(escape(_wrapped(cell.error)).replace("\n", "<br>"))
    return "<br>".join(lines)


def verdict(evaluation: Evaluation, panels: list[Panel]) -> list[tuple[str, str]]:
    """The results in plain sentences, as (topic, text): failures first, then tab by tab."""
    nominal = nominal_returns(panels)
    said = [("Failures", text) for text in _failures(evaluation)]
    for tab in dict.fromkeys(panel.tab for panel in panels):
        here = [panel for panel in panels if panel.tab == tab]
        curves = [panel for panel in here if panel.kind == "curve"]
        clauses = [clause for panel in here if panel.kind == "grid" for clause in _over_grid(panel, nominal)]
        clauses += _over_curves(curves, nominal) if curves else []
        clauses += [clause for panel in here if panel.kind == "matrix" for clause in _over_matrix(panel)]
        text = "; ".join(clauses) + "." if clauses else ""
        if text and len(evaluation.agents) == 2:
            text += _duel(here, *(agent.name for agent in evaluation.agents))
        if text:
            said.append((tab, text))
    kept = "; ".join(_of_promises(agent, cells) for agent, cells in promising(panels).items())
    return [*said, ("Consistency", f"{kept}.")] if kept else said


def _failures(evaluation: Evaluation) -> list[str]:
    failed = len(evaluation.failures())
    total = _count(len(evaluation.rows), "episode")
    return [f"{failed} of {total} failed. They enter no mean and are listed under Overview."] if failed else []


def _over_grid(panel: Panel, nominal: dict[str, Estimate]) -> list[str]:
    said = []
    for agent, summary in panel.summaries.items():
        if summary.scores is None:
            said.append(f"{agent} finished no episode over {panel.name}")
            continue
        mean, least = summary.scores.mean.value, summary.scores.worst.value
        said.append(
            f"{agent} {_kept(mean, nominal.get(agent))} over {panel.name} on average, and "
            f"{_left(least, nominal.get(agent))} in its worst cell ({summary.worst_condition})"
        )
    return said


def _over_curves(curves: list[Panel], nominal: dict[str, Estimate]) -> list[str]:
    said = []
    for agent in curves[0].cells:
        known = [(cell, panel) for panel in curves for cell in panel.cells[agent] if cell.finished]
        if not known:
            said.append(f"{agent} finished no episode")
            continue
        cell, panel = min(known, key=lambda pair: pair[0].mean.value)
        if agent in nominal and cell.mean.value >= nominal[agent].value:
            said.append(f"{agent} never falls below its nominal return")
            continue
        at = coordinate(cell.coordinates["intensity"])
        left = _left(cell.mean.value, nominal.get(agent))
        said.append(f"{agent} is hurt most by {panel.name} at {at}, which leaves {left}")
    return said


def _over_matrix(panel: Panel) -> list[str]:
    said = []
    for agent, cells in panel.cells.items():
        known = [cell for cell in cells if cell.finished]
        worst, best = (pick(known, key=lambda c: c.mean.value, default=None) for pick in (min, max))
        if worst and best and worst is not best:
            said.append(
                f"{agent} returns {number(best.mean.value)} on {best.coordinates['test']} and "
                f"{number(worst.mean.value)} on {worst.coordinates['test']}"
            )
    return said


def _of_promises(agent: str, cells: list[tuple[Cell, Panel]]) -> str:
    """The condition in which an agent falls furthest short of its predicted return."""
    worst, panel = max(cells, key=lambda pair: pair[0].promised - pair[0].mean.value)
    if worst.promised <= worst.mean.value:
        return f"{agent} never returns less than it promises"
    where = "in the undisturbed environment" if panel.kind == "nominal" else f"under {worst.condition}"
    text = (
        f"{agent} falls furthest short of its promise {where}, where it promises {number(worst.promised)} and returns "
        f"{number(worst.mean.value)}"
    )
    sure = [cell for cell, _ in cells if math.isfinite(cell.mean.high)]  # more than one episode
    broken = sum(cell.mean.high < cell.promised for cell in sure)
    beyond = f"; in {broken} of {_count(len(sure), 'condition')} it returns less beyond the noise of its episodes"
    return text + (beyond if sure else "")


def _duel(panels: list[Panel], first: str, second: str) -> str:
    """How often each of two agents is better by more than the noise of its episodes."""
    gaps = [gap for panel in panels if panel.kind != "nominal" for gap in differences(panel, first, second)]
    if not any(math.isfinite(gap.low) for gap in gaps):
        return ""
    better, worse = sum(gap.low > 0.0 for gap in gaps), sum(gap.high < 0.0 for gap in gaps)
    return f" In {better} of {_count(len(gaps), 'condition')} {second} returns more than {first}, in {worse} less."


def _kept(value: float, nominal: Estimate | None) -> str:
    percent = share(value, nominal)
    return f"keeps {percent} of its nominal return" if percent else f"returns {_against(value, nominal)}"


def _left(value: float, nominal: Estimate | None) -> str:
    return share(value, nominal) or _against(value, nominal)


def _against(value: float, nominal: Estimate | None) -> str:
    return number(value) + (f" (nominal {number(nominal.value)})" if nominal else "")


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _wrapped(text: str, width: int = 60, lines: int = 5) -> str:
    """Wrap to at most five lines of 60 characters, so that a long error does not cover the plot."""
    return textwrap.fill(text, width, max_lines=lines, placeholder=" …")
