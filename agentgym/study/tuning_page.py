"""The page of a search: what was found, the history, which hyperparameters matter, and a slice along each."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup

from agentgym.evaluation.report.figures import MISSING, colour, plain
from agentgym.evaluation.report.page import assembled
from agentgym.evaluation.report.plots import Figures, Section
from agentgym.evaluation.report.rendering import render
from agentgym.evaluation.report.tables import Entry, Line
from agentgym.evaluation.report.words import interval, number
from agentgym.runs.files import write_file
from agentgym.runs.run import provenance
from agentgym.stats import Estimate, bootstrap_interval
from agentgym.study.runner import Results
from agentgym.study.schema import Study
from agentgym.study.tuning import BEFORE, TUNED, Search, best_of

__all__ = ["write_page"]

NOTES = {
    "history": "One point a trial, at its mean score over runs; line: the best so far. Grey: given up, at its last "
    "evaluation. The best of many noisy scores is biased upwards: the fresh seeds are the result.",
    "importance": "How much more the values of the best trials differ from what was drawn than chance explains "
    "(PED-ANOVA, Watanabe et al. 2023), as shares of 1.",
    "slices": "Every trial, at its value of one hyperparameter; grey: given up.",
}


def write_page(study: Study, search: Search, results: Results, path: Path) -> Path:
    """Write the page of a finished search.

    Args:
        study: the study.
        search: its search.
        results: the runs with fresh seeds.
        path: the HTML file.

    Returns:
        The path.
    """
    trials = search.optuna()
    best = best_of(search, trials)
    figures = Figures()
    ended = [trial for trial in trials.get_trials(deepcopy=False) if trial.state.is_finished()]
    finished = [trial for trial in ended if trial.state.name == "COMPLETE"]
    pruned = [trial for trial in ended if trial.state.name == "PRUNED" and trial.value is not None]
    sections = {
        "History": [Section("History", [figures.plot(_history(search, finished, pruned), "score by trial")],
                            (NOTES["history"],))],
        "Importance": [_importance(trials, figures)],
        "Slices": [
            Section(name, [figures.plot(_slice(name, finished, pruned), f"score by {name}")], wide=False)
            for name in search.tuning.ranges
        ],
    }  # fmt: skip
    tabs = {"Overview": _found(study, search, best, results) + _failures(ended)}
    for name, some in sections.items():
        note = NOTES["slices"] if name == "Slices" else ""
        tabs[name] = render("plots.html", sections=some, legend=[], key="", note=note)
    tabs["All trials"] = _all(search, ended)
    failed = sum(trial.state.name == "FAIL" for trial in ended)
    facts = {
        "environments": ", ".join(search.tuning.envs), "trials": len(ended), "given up early": len(pruned),
        "failed": failed, "seeds of a trial": ", ".join(map(str, search.tuning.seeds)),
        "fresh seeds": ", ".join(map(str, search.tuning.fresh_seeds)), "steps": search.cells[0].steps,
    }  # fmt: skip
    scores = {agent: _fresh(results, agent, env) for agent in (TUNED, BEFORE) for env in search.tuning.envs[:1]}
    verdict = [(agent, f"{number(one.value)} {interval(one)} with fresh seeds on {search.tuning.envs[0]}.")
               for agent, one in scores.items()]  # fmt: skip
    text = assembled(
        "Search for hyperparameters", study.title, [(search.tuning.agent, "")], facts, verdict, tabs, figures.figures,
        ("trials.csv", _csv(search, ended)), provenance(),
    )  # fmt: skip
    write_file(path, text)
    return path


def _fresh(results: Results, agent: str, env: str) -> Estimate:
    """The mean score of the runs with fresh seeds."""
    protocol = results.study.protocol
    scores = [
        float(row[protocol.score])
        for row in results.rows.rows
        if (row["agent"], row["env"], row["case"]) == (agent, env, protocol.case) and not row["error"]
    ]
    return bootstrap_interval(scores) if scores else Estimate(math.nan, math.nan, math.nan)


def _found(study: Study, search: Search, best: Any, results: Results) -> Markup:
    before = {**results.study.agents[BEFORE].config}
    rows = []
    for name, value in best.params.items():
        was = json.dumps(before[name]) if name in before else "preset or default"
        rows.append(Line([Entry(name, name), Entry(_text(value), _text(value)), Entry(was, was)]))
    table = render("table.html", heading="The best setting", label="The best setting", name="", bad=False,
                   heads=["Hyperparameter", TUNED, BEFORE], rows=rows, searchable=False,
                   note=f"Trial {best.number}, which scored {number(best.value)} in the search.")  # fmt: skip
    lines = []
    for env in search.tuning.envs:
        estimates = [_fresh(results, agent, env) for agent in (TUNED, BEFORE)]
        cells = [Entry(number(e.value), repr(e.value), "number", interval=interval(e)) for e in estimates]
        lines.append(Line([Entry(study.env_label(env), env), *cells]))
    note = "Mean over runs whose seeds and evaluation episodes selected nothing; brackets: 95 % bootstrap interval."
    fresh = render("table.html", heading="With fresh seeds", label="Scores with fresh seeds", name="", bad=False,
                   heads=["Environment", TUNED, BEFORE], rows=lines, note=note, searchable=False)  # fmt: skip
    return fresh + table


def _failures(ended: Sequence[Any]) -> Markup:
    rows = [
        Line([Entry(str(trial.number), str(trial.number), "number"), Entry(error, error, "wrapped")], failed=True)
        for trial in ended
        if (error := trial.user_attrs.get("error"))
    ]
    if not rows:
        return Markup()
    return render("table.html", heading="Failed trials", label="Failed trials", heads=["Trial", "Error"], rows=rows,
                  name="", note="They enter no figure.", bad=True, searchable=False)  # fmt: skip


def _all(search: Search, ended: Sequence[Any]) -> Markup:
    names = list(search.tuning.ranges)
    rows = []
    for trial in ended:
        values = [trial.params.get(name, math.nan) for name in names]
        cells = [Entry(_text(value), str(value), "" if isinstance(value, str) else "number") for value in values]
        score = math.nan if trial.value is None else trial.value
        head = [
            Entry(str(trial.number), str(trial.number), "number"),
            Entry(trial.state.name.lower(), trial.state.name),
        ]
        rows.append(Line([*head, Entry(number(score), repr(score), "number"), *cells]))
    return render("table.html", heading="Every trial", label="Every trial", heads=["Trial", "State", "Score", *names],
                  rows=rows, name="conditions", note="", bad=False, searchable=True)  # fmt: skip


def _history(search: Search, finished: Sequence[Any], pruned: Sequence[Any]) -> go.Figure:
    best = np.maximum if search.direction == "maximize" else np.minimum
    so_far = best.accumulate([trial.value for trial in finished])
    line = go.Scatter(x=[t.number for t in finished], y=so_far.tolist(), mode="lines", hoverinfo="skip",
                      line={"color": colour(0), "width": 2, "shape": "hv"})  # fmt: skip
    figure = plain(line, *_points([t.number for t in finished], finished, [t.number for t in pruned], pruned))
    figure.update_xaxes(title="trial")
    return figure.update_yaxes(title="score")


def _points(x: Sequence[Any], finished: Sequence[Any], x_pruned: Sequence[Any], pruned: Sequence[Any]) -> list[Any]:
    return [
        go.Scatter(
            x=list(places), y=[trial.value for trial in some], mode="markers", marker={"color": shade, "size": 8},
            hoverinfo="text", hovertext=[_hover(trial) for trial in some],
        )
        for places, some, shade in ((x_pruned, pruned, MISSING), (x, finished, colour(0)))
    ]  # fmt: skip


def _hover(trial: Any) -> str:
    lines = [f"<b>trial {trial.number}</b>", f"score {number(trial.value)}"]
    return "<br>".join([*lines, *(f"{name} {_text(value)}" for name, value in trial.params.items())])


def _importance(trials: Any, figures: Figures) -> Section:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    try:
        shares = get_param_importances(trials, evaluator=PedAnovaImportanceEvaluator())
    except (ValueError, RuntimeError) as error:  # too few trials, or all with one value
        return Section("Importance", [], (f"Not known: {error}",))
    names = list(shares)[::-1]
    bars = go.Bar(x=[shares[name] for name in names], y=names, orientation="h", marker={"color": colour(0)},
                  hoverinfo="x")  # fmt: skip
    figure = plain(bars, height=110 + 30 * len(names)).update_xaxes(title="share")
    return Section("Importance", [figures.plot(figure, "importance of hyperparameters")], (NOTES["importance"],))


def _slice(name: str, finished: Sequence[Any], pruned: Sequence[Any]) -> go.Figure:
    known, given_up = ([t for t in some if name in t.params] for some in (finished, pruned))
    x, x_pruned = ([_text(t.params[name]) if isinstance(t.params[name], str) else t.params[name] for t in some]
                   for some in (known, given_up))  # fmt: skip
    figure = plain(*_points(x, known, x_pruned, given_up))
    distributions = [trial.distributions[name] for trial in known]
    log = any(getattr(each, "log", False) for each in distributions)
    texts = any(isinstance(value, str) for value in x)
    figure.update_xaxes(title=name, type="category" if texts else "log" if log else "linear")
    return figure.update_yaxes(title="score")


def _text(value: Any) -> str:
    """A value of a trial; those of lists are JSON already."""
    return value if isinstance(value, str) else f"{value:.4g}"


def _csv(search: Search, ended: Sequence[Any]) -> str:
    names, text = list(search.tuning.ranges), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "score", *names])
    for trial in ended:
        values = [trial.params.get(name, "") for name in names]
        writer.writerow([trial.number, trial.state.name.lower(), "" if trial.value is None else trial.value, *values])
    return text.getvalue()
