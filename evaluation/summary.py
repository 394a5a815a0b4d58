"""Summary statistics of an evaluation: mean, IQM, CVaR and worst condition of each agent in each plot."""

import csv
import io
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agentgym.evaluation.table import Evaluation
from agentgym.runs.files import write_file
from agentgym.stats import Estimate, Summary, summarise

__all__ = ["PanelSummary", "print_summary", "summaries", "write_summary"]

FAILURES_SHOWN = 5
STATISTICS = ("mean", "iqm", "cvar", "worst")


@dataclass(frozen=True)
class PanelSummary:
    """The statistics of one agent in one plot.

    Attributes:
        tab: the report's tab.
        panel: the plot.
        agent: the agent's name.
        scores: statistics over the plot's conditions with finished episodes; None if there are none.
        worst_condition: name of the condition with the lowest mean.
        episodes: number of finished episodes.
        failed: number of other episodes.
    """

    tab: str
    panel: str
    agent: str
    scores: Summary | None
    worst_condition: str
    episodes: int
    failed: int


def summaries(evaluation: Evaluation) -> list[PanelSummary]:
    """One summary per agent and plot, in the order of the plots; computed once."""
    if "summaries" not in evaluation.kept:
        panels: dict[tuple[str, str], list[str]] = {}
        for condition, scene in evaluation.scenes.items():
            panels.setdefault((scene.tab, scene.panel), []).append(condition)
        evaluation.kept["summaries"] = [
            _summary(evaluation, tab, panel, conditions, agent.name)
            for (tab, panel), conditions in panels.items()
            for agent in evaluation.agents
        ]
    found: list[PanelSummary] = evaluation.kept["summaries"]
    return found


def _summary(evaluation: Evaluation, tab: str, panel: str, conditions: list[str], agent: str) -> PanelSummary:
    returns = {name: found for name in conditions if (found := evaluation.scores(agent, name)).size}
    scores = summarise(list(returns.values())) if returns else None
    worst = list(returns)[scores.worst_condition] if scores else ""
    finished = sum(found.size for found in returns.values())
    played = sum(len(evaluation.groups.get((agent, name), ())) for name in conditions)
    return PanelSummary(tab, panel, agent, scores, worst, finished, played - finished)


def write_summary(evaluation: Evaluation, path: Path | str) -> None:
    """Write summary.csv: every statistic with the ends of its 95 % bootstrap interval."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ends = [f"{name}{end}" for name in STATISTICS for end in ("", "_low", "_high")]
    writer.writerow(["tab", "panel", "agent", *ends, "worst_condition", "episodes", "failed"])
    for row in summaries(evaluation):
        numbers = [value for estimate in _estimates(row) for value in (estimate.value, estimate.low, estimate.high)]
        writer.writerow([row.tab, row.panel, row.agent, *numbers, row.worst_condition, row.episodes, row.failed])
    write_file(path, text.getvalue())


def print_summary(evaluation: Evaluation) -> None:
    """Print the summary as a table."""
    table = Table("panel", "agent", "mean", "IQM", "CVaR 10 %", "worst", "in", box=None, title_justify="left")
    last = None
    for row in summaries(evaluation):
        label = row.panel if row.tab in (row.panel, "Overview") else f"{row.tab}: {row.panel}"
        cells = ["-" if math.isnan(estimate.value) else f"{estimate.value:.4g}" for estimate in _estimates(row)]
        table.add_row(label if label != last else "", row.agent, *cells, row.worst_condition)
        last = label
    Console().print(table)
    failed = evaluation.failures()
    if failed:
        print(f"{len(failed)} of {len(evaluation.rows)} episodes failed:")
        kinds = Counter((row.agent, row.error) for row in failed)
        for (agent, error), count in kinds.most_common(FAILURES_SHOWN):
            print(f"  {count} of {agent}: {error}")
        if len(kinds) > FAILURES_SHOWN:
            print(f"  {len(kinds) - FAILURES_SHOWN} more kinds are listed among the rows.")


def _estimates(row: PanelSummary) -> list[Estimate]:
    nothing = Estimate(math.nan, math.nan, math.nan)
    return [getattr(row.scores, name) if row.scores else nothing for name in STATISTICS]
