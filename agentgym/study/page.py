"""The page of a study: one self-contained HTML file in the style of the robustness report."""

import csv
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from agentgym.evaluation.report import require
from agentgym.evaluation.report.page import assembled
from agentgym.evaluation.report.plots import Plot, Section
from agentgym.evaluation.report.rendering import render
from agentgym.evaluation.report.tables import Entry, Line, write_table
from agentgym.evaluation.report.words import interval, number
from agentgym.runs.files import write_file
from agentgym.runs.run import provenance
from agentgym.stats import Estimate, bootstrap_interval
from agentgym.study import figures
from agentgym.study.cells import UNSEEDED, Cell
from agentgym.study.evidence import AXES, Axis, Evidence
from agentgym.study.findings import findings
from agentgym.study.progress import duration
from agentgym.study.rows import origin
from agentgym.study.runner import Results

__all__ = ["write_page"]

PROFILE_FROM = 2  # environments, from which they are put together
FEW = (
    "Dot and bar: {statistic} over seeds with its 95 % bootstrap interval. Ring: one run. "
    "With fewer than four runs the interval is too narrow."
)
TOGETHER = (
    "Scores are normalised by environment, so that 0 is {low} and 1 is {high}. Only environments in which every "
    "trained agent has a run and not all scores are equal; runs are redrawn within their environment."
)
MEASURES = ("return", "iqm", "cvar", "worst")


def write_page(results: Results, path: Path | str) -> Path:
    """Write the page of a study.

    Args:
        results: the study with its rows.
        path: the file to write; an existing one is replaced.

    Returns:
        The path.

    Raises:
        MissingExtra: plotly is not installed.
    """
    require()
    path = Path(path)
    write_file(path, _Page(results, path).html())
    return path


@dataclass
class _Page:
    """Collects the figures and the tabs of the page."""

    results: Results
    path: Path
    drawn: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        study = self.results.study
        questions = [Evidence(self.results, key) for key in study.questions]
        self.questions = [each for each in questions if each.agents]
        agents = dict.fromkeys(agent for each in self.questions for agent in each.agents)
        self.order = {agent: index for index, agent in enumerate(agents)}
        self.labels = {agent: study.label(agent) for agent in agents}

    def html(self) -> str:
        study, rows = self.results.study, self.results.rows.rows
        agents = [(self.labels[agent], self._about(agent)) for agent in self.order]
        runs = {(row["question"], row["agent"], row["env"], row["seed"]): row for row in rows}
        trained = [row for key, row in runs.items() if key[3] != str(UNSEEDED)]
        failed = sum(bool(row["error"]) for row in runs.values())
        played = [each.protocol.episodes for each in self.questions if not each.protocol.judge]
        facts: dict[str, Any] = {
            "runs": f"{len(trained)} of {sum(cell.seed != UNSEEDED for cell in self.results.cells)}",
            "failed": failed or None,
            "environments": len({row["env"] for row in rows}),
            "training": duration(sum(float(row["seconds"] or 0) for row in trained)),
            "score": f"{study.protocol.score}, {study.protocol.better} is better",
            "episodes per policy": ", ".join(dict.fromkeys(map(str, played))) or None,
            "last run": max((row["created"] for row in rows), default=None),
        }
        tabs = {
            "Scores": self._scores(), "Together": self._together(), "Learning curves": self._curves(),
            "Comparison": self._comparison(), "Efficiency": self._efficiency(), "Robustness": self._robustness(),
            "Every run": self._runs() + self._origins(),
        }  # fmt: skip
        about = provenance()
        return assembled(
            "Study", study.title, agents, {name: value for name, value in facts.items() if value is not None},
            findings(self.questions), {name: body for name, body in tabs.items() if body}, self.drawn,
            (f"{study.name}.csv", self._csv()),
            {**about, "command": f"agentgym study report {study.folder / study.name}.toml"},
        )  # fmt: skip

    def _about(self, agent: str) -> str:
        spec = self.results.study.agents[agent]
        return "controller" if spec.controller else spec.agent if spec.agent != self.labels[agent] else ""

    def _plot(self, figure: Any, label: str, caption: str = "") -> Plot:
        name = f"figure-{len(self.drawn)}"
        self.drawn[name] = figure.to_json()
        return Plot(name, label, figure.layout.height, caption)

    def _body(self, sections: list[Section], legend: bool = False) -> Markup:
        if not sections:
            return Markup()
        return render(
            "plots.html", sections=sections, legend=list(self.labels.values()) if legend else [], key="", note=""
        )

    def _title(self, evidence: Evidence) -> str:
        return self.results.study.questions[evidence.question].title or evidence.question

    # Tabs

    def _scores(self) -> Markup:
        """The final scores of every environment, as plots and as a table."""
        sections, lines = [], []
        for evidence in self.questions:
            plots = [
                self._plot(
                    figures.finals(evidence, env, self.order, self.labels),
                    f"Final scores on {self._env(env)}", self._env(env),
                )
                for env in evidence.envs if any(evidence.runs(agent, env) for agent in evidence.agents)
            ]  # fmt: skip
            statistic = {"iqm": "interquartile mean", "mean": "mean"}[evidence.protocol.statistic]
            if plots:
                sections.append(Section(self._title(evidence), plots, (FEW.format(statistic=statistic),), maps=True))
            lines += [line for env in evidence.envs for line in self._score_lines(evidence, env)]
        heads = ["Question", "Environment", "Agent", "Score", "Against the baseline", "Runs", "Failed"]
        note = "Brackets: 95 % bootstrap interval over runs. Differences are means over pairs of runs with equal seeds."
        return self._body(sections) + write_table("Final scores", "Final scores", heads, lines, note=note)

    def _score_lines(self, evidence: Evidence, env: str) -> Iterator[Line]:
        for agent in evidence.agents:
            failed = evidence.scores.failed(evidence.question, agent, env)
            runs = evidence.runs(agent, env)
            if runs or failed:
                yield Line(
                    [
                        _text(self._title(evidence)), _text(self._env(env)), self._agent(agent),
                        _estimate(evidence.final(agent, env)), _estimate(self._against(evidence, agent, env)),
                        _count(len(runs)), _count(failed, bad=True),
                    ]
                )  # fmt: skip

    def _against(self, evidence: Evidence, agent: str, env: str) -> Estimate:
        unknown = Estimate(math.nan, math.nan, math.nan)
        return unknown if agent == evidence.baseline else evidence.difference(agent, env)

    def _together(self) -> Markup:
        """All environments of a question together: IQM and mean of normalised scores, performance profile."""
        sections = []
        for evidence in self.questions:
            agents = evidence.compared
            if len(evidence.common) < PROFILE_FROM or len(agents) < 2:
                continue
            plots = [
                self._plot(
                    figures.estimates({a: evidence.aggregate(a, name) for a in agents}, self.order, self.labels, title),
                    f"{title} of normalised scores", title,
                )
                for name, title in (("iqm", "interquartile mean"), ("mean", "mean"))
            ]  # fmt: skip
            profile = figures.profile(evidence, agents, self.order, self.labels)
            low, high = ("the lowest", "the highest") if evidence.sign > 0 else ("the highest", "the lowest")
            given = all(self.results.study.envs[env].reference for env in evidence.common)
            told = ("the first reference", "the second") if given else (f"{low} score of a run here", high)
            note = TOGETHER.format(low=told[0], high=told[1])
            title = f"{self._title(evidence)}: {len(evidence.common)} environments"
            sections.append(Section(title, plots, (note,), maps=True))
            note = (
                "For every τ the share of runs with a higher normalised score: higher is better. Band: 95 % interval."
            )
            heading = f"{self._title(evidence)}: performance profile"
            sections.append(Section(heading, [self._plot(profile, heading)], (note,), width=900))
        return self._body(sections, legend=True)

    def _curves(self) -> Markup:
        """Learning curves over steps, gradient steps and seconds."""
        sections = []
        labels = self.results.study.curves.labels
        for evidence in self.questions:
            for axis, unit in AXES.items():
                plots = [plot for env in evidence.envs for plot in self._curve_plots(evidence, env, axis, unit)]
                if plots:
                    heading = f"{self._title(evidence)}: {labels.get(evidence.curve_names[0], evidence.curve_names[0])}"
                    sections.append(Section(f"{heading}, over {unit}", plots, maps=True))
        return self._body(sections, legend=True)

    def _curve_plots(self, evidence: Evidence, env: str, axis: Axis, unit: str) -> Iterator[Plot]:
        offline = bool(self.results.study.envs[env].dataset)
        if offline and axis == "updates":
            return  # its steps are gradient steps
        x = "gradient steps" if offline and axis == "step" else unit
        for name in evidence.curve_names if axis == "step" else evidence.curve_names[:1]:
            bands = {a: band for a in evidence.agents if (band := evidence.band(a, env, name, axis))}
            shown = self.results.study.curves.labels
            if bands and (name in shown or name == evidence.curve_names[0]):
                figure = figures.curves(bands, self.order, self.labels, x, shown.get(name, name))
                caption = f"{self._env(env)}: {shown.get(name, name)}" if len(shown) > 1 else self._env(env)
                yield self._plot(figure, f"{name} on {self._env(env)}", caption)

    def _comparison(self) -> Markup:
        """Probability of improvement for every pair, and differences from the baseline in pairs of equal seeds."""
        sections = []
        for evidence in self.questions:
            title = self._title(evidence)
            if base := evidence.baseline:
                label, others = self.labels.get(base, base), [a for a in evidence.agents if a != base]
                drawn = [self._difference_plot(evidence, env, others) for env in evidence.envs]
                note = "Right of the line: a higher score than the baseline with the same seeds."
                if any(drawn):
                    sections.append(
                        Section(f"{title}: difference from {label}", [p for p in drawn if p], (note,), maps=True)
                    )  # fmt: skip
            agents = evidence.compared
            if len(agents) > 1 and len(evidence.common) > 0:
                plots = [self._improvement_plot(evidence, agent, agents) for agent in agents]
                note = "How likely a run of the agent above beats one of the other in the same environment."
                sections.append(Section(f"{title}: probability of improvement", plots, (note,), maps=True))
        return self._body(sections)

    def _difference_plot(self, evidence: Evidence, env: str, others: list[str]) -> Plot | None:
        found = {a: evidence.difference(a, env) for a in others}
        if not any(math.isfinite(each.value) for each in found.values()):
            return None
        figure = figures.estimates(found, self.order, self.labels, "difference of scores", zero=0.0)
        return self._plot(figure, f"Differences on {self._env(env)}", self._env(env))

    def _improvement_plot(self, evidence: Evidence, agent: str, agents: list[str]) -> Plot:
        found = {other: evidence.improvement(agent, other) for other in agents if other != agent}
        versus = {other: f"over {self.labels[other]}" for other in found}
        figure = figures.estimates(found, self.order, versus, "probability", zero=0.5)
        figure.update_xaxes(range=[-0.03, 1.03])
        return self._plot(figure, f"Probability that {self.labels[agent]} is better", self.labels[agent])

    def _efficiency(self) -> Markup:
        """How many steps and seconds the agents need."""
        lines = []
        for evidence in self.questions:
            for env in evidence.envs:
                for agent, found in evidence.efficiency(env).items():
                    reached = f"{found.reached} of {found.runs}"
                    lines.append(
                        Line(
                            [
                                _text(self._title(evidence)), _text(self._env(env)), self._agent(agent),
                                _estimate(found.area), _number(found.target),
                                Entry(reached, str(found.reached), "number"), _number(found.steps),
                                _number(found.seconds), _number(found.speed),
                            ]
                        )
                    )  # fmt: skip
        if not lines:
            return Markup()
        heads = ["Question", "Environment", "Agent", "Mean of the curve", "Target", "Reached", "Steps to target",
                 "Seconds to target", "Steps a second"]  # fmt: skip
        note = (
            "Mean of the curve: over the steps that all agents have in common. Target: where the baseline's curve ends "
            "(without a baseline, the worst end of a curve). Steps and seconds are medians over runs, with a dash "
            "where most runs do not reach the target. Seconds depend on the machine."
        )
        return write_table("How fast they learn", "Efficiency", heads, lines, note=note)

    def _robustness(self) -> Markup:
        """The suites: statistics over episodes, averaged over runs."""
        lines = []
        for evidence in self.questions:
            groups: dict[tuple[str, str, str], list[dict[str, str]]] = {}
            for agent in evidence.agents:
                for env in evidence.envs:
                    for row in evidence.scores.rows(evidence.question, agent, env):
                        if row.get("worst"):
                            groups.setdefault((row["case"], env, agent), []).append(row)
            for (case, env, agent), rows in sorted(groups.items(), key=lambda item: item[0][:2]):
                known = [[float(row[name]) for row in rows] for name in MEASURES]
                least = min(rows, key=lambda row: float(row["worst"]))
                lines.append(
                    Line(
                        [
                            _text(case), _text(self._env(env)), self._agent(agent),
                            *(_estimate(bootstrap_interval(values)) for values in known),
                            _text(least.get("worst_condition", "")), _count(len(rows)),
                        ]
                    )
                )  # fmt: skip
        if not lines:
            return Markup()
        heads = [
            "Suite",
            "Environment",
            "Agent",
            "Mean",
            "IQM",
            "CVaR 10 %",
            "Worst",
            "Worst condition of a run",
            "Runs",
        ]
        note = (
            "Each statistic is taken over the episodes of one run and then averaged over runs, with its 95 % bootstrap "
            "interval over runs. The episodes are in the folder evaluation of each run: agentgym report RUN/evaluation."
        )
        return write_table("Robustness", "Robustness", heads, lines, note=note)

    def _runs(self) -> Markup:
        """Every run, linked."""
        lines = []
        for cell in self.results.cells:
            for row in self.results.rows.of(cell):
                lines.append(self._run_line(cell, row))
        heads = [
            "Question",
            "Environment",
            "Agent",
            "Seed",
            "Case",
            "Score",
            "Steps",
            "Seconds",
            "Code",
            "Note or error",
        ]
        return write_table("Every run", "Every run", heads, lines, name="conditions", searchable=True)

    def _run_line(self, cell: Cell, row: dict[str, str]) -> Line:
        score = row.get(self.results.study.protocol_of(cell.question).score, "")
        there = cell.folder.is_dir()
        link = os.path.relpath(cell.folder, self.path.parent) if there else ""
        seed = "" if cell.seed == UNSEEDED else row["seed"]
        return Line(
            [
                _text(cell.question), _text(self._env(cell.env)),
                Entry(self.labels[cell.agent], self.labels[cell.agent], agent=self.order[cell.agent], href=link),
                Entry(seed, seed, "number"), _text(row["case"]), _number(float(score) if score else math.nan),
                _number(float(row["steps"] or "nan")), _number(float(row["seconds"] or "nan")),
                _text(row["git"]), _text(row["error"] or row["note"]),
            ],
            failed=bool(row["error"]),
        )  # fmt: skip

    def _origins(self) -> Markup:
        """Which code and versions made the rows."""
        kinds: dict[tuple[str, str], int] = {}
        for row in self.results.rows.rows:
            kinds[origin(row)] = kinds.get(origin(row), 0) + 1
        lines = [Line([_text(git or "–"), _text(versions), _count(count)]) for (git, versions), count in kinds.items()]
        heading = "One code made all rows" if len(lines) == 1 else f"{len(lines)} codes or versions made these rows"
        return write_table(heading, "Where the rows come from", ["Revision", "Versions", "Rows"], lines)

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.results.rows.columns(), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.results.rows.rows)
        return text.getvalue()

    def _env(self, env: str) -> str:
        return self.results.study.env_label(env)

    def _agent(self, agent: str) -> Entry:
        return Entry(self.labels[agent], self.labels[agent], agent=self.order[agent])


def _text(value: str) -> Entry:
    return Entry(value, value, "long" if len(value) > 44 else "")


def _number(value: float) -> Entry:
    return Entry(number(value), repr(value) if math.isfinite(value) else "nan", "number")


def _count(value: int, bad: bool = False) -> Entry:
    return Entry(str(value), str(value), "number bad" if bad and value else "number")


def _estimate(found: Estimate) -> Entry:
    if math.isnan(found.value):
        return Entry("–", "nan", "number")
    return Entry(number(found.value), repr(found.value), "number", interval=interval(found))
