"""The pictures of the offline study: return along the dial of noise, and promised against achieved return."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from agentgym.contracts.settings import parse_settings
from agentgym.study.runner import Results

DIALS = {
    "frozenlake": "slip", "frozenlake-100": "slip", "ablations": "slip", "stochastic-pendulum": "noise",
    "stochastic-hopper": "noise",
}  # fmt: skip


def draw(results: Results, folder: Path) -> None:
    """One picture for every question with a dial: each seed a point, means joined."""
    for question, dial in DIALS.items():
        rows = [row for row in results.rows.rows if row["question"] == question and not row["error"]]
        if rows:
            _draw(results, question, dial, rows).savefig(folder / f"offline_{question}.png", dpi=110)


def _draw(results: Results, question: str, dial: str, rows: list[dict[str, Any]]) -> Figure:
    study, sampled = results.study, "samples" in results.study.protocol_of(question).policy
    told, got = ("sampled_promised_return", "sampled_return") if sampled else ("promised_return", "return")
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    along, against = figure.subplots(1, 2)
    agents = study.agents_in(study.questions[question].agents)
    for number, agent in enumerate(agents):
        runs = [row for row in rows if row["agent"] == agent]
        if not runs:
            continue
        colour, name = f"C{number}", study.label(agent)
        level_of = {row["env"]: float(parse_settings(row["env"])[1][dial]) for row in runs}
        levels = sorted(set(level_of.values()))
        means = {}
        for measure in ("return", "promised_return"):
            known = [
                [float(r[measure]) for r in runs if level_of[r["env"]] == level and r[measure]] for level in levels
            ]
            means[measure] = [np.mean(values) for values in known if values]
        along.plot([level_of[row["env"]] for row in runs], [float(row["return"]) for row in runs], ".", color=colour,
                   alpha=0.4)  # fmt: skip
        along.plot(levels, means["return"], color=colour, label=name)
        promising = [row for row in runs if row["promised_return"]]
        if promising:
            along.plot(levels, means["promised_return"], color=colour, linestyle=":")
            against.scatter([float(row[told]) for row in promising], [float(row[got]) for row in promising],
                            color=colour, label=name, alpha=0.7)  # fmt: skip
    along.set(xlabel=f"{dial}, in the data and in evaluation", ylabel="return", title=study.questions[question].title)
    against.axline((0, 0), slope=1, color="grey", linewidth=0.8)
    by = "sampled actions; " if sampled else ""
    against.set(xlabel="promised return", ylabel="achieved return", title=f"{by}below the line: broken promises")
    for axis in (along, against):
        axis.grid(alpha=0.3)
    figure.legend(*along.get_legend_handles_labels(), loc="outside lower center", ncols=len(agents),
                  title="line: achieved; dotted: promised")  # fmt: skip
    return figure
