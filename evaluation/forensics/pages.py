"""The reports: of a trial of detectors on faults, and of one examined episode."""

import base64
import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageDraw

from agentgym.evaluation.film import film_bytes
from agentgym.evaluation.forensics import figures
from agentgym.evaluation.forensics.benchmark import CLEAN
from agentgym.evaluation.forensics.examine import EVIDENCE, Examination, replayed
from agentgym.evaluation.forensics.trial import Trial
from agentgym.evaluation.report.page import assembled
from agentgym.evaluation.report.plots import Figures, Section
from agentgym.evaluation.report.rendering import render
from agentgym.evaluation.report.tables import Entry, Line, write_table
from agentgym.evaluation.report.words import number
from agentgym.play.recording import Recording
from agentgym.runs.run import provenance

__all__ = ["as_csv", "examination_page", "trial_page"]

PAPER = (0.882, 0.994)  # the range of Patient-0 accuracies that arXiv:2602.08104 states, over all its settings
TABLE_NOTE = (
    "Share of episodes whose victim is named, not before the onset, with Wilson's 95 % interval. Early: somebody was "
    "flagged before the onset. Downstream: another agent was flagged first. Delay: median steps from the onset to the "
    "flag. Lead: median steps from the flag until the return falls behind the clean twin's by 5 %."
)
STAGE2_NOTE = (
    "After stage 2, with Wilson's 95 % interval; + corrected: wrong answers of stage 1 made right; − broken: right "
    "ones made wrong. Walk goes upstream along growing edges; gate overrules candidates that send nothing. action_gap: "
    "what an agent did beside its nominal action; critic: slope and curvature of the critic along it."
)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with different columns as CSV; what a row lacks is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    return text.getvalue()


# A trial


def trial_page(trial: Trial, name: str, about: str, env: str) -> str:
    """The page of a trial.

    Args:
        trial: what was found.
        name, about: of the team.
        env: the environment in words.
    """
    page, judged = Figures(), [row for row in trial.table if "accuracy" in row]
    tabs = {"Overview": Markup("")}
    if judged:
        plot = page.plot(figures.accuracy(trial.table), "accuracy of stage 1 by detector and fault")
        tabs["Overview"] += _plots([Section("Patient-0 accuracy of stage 1, %", [plot])])
        tabs["Overview"] += _stage1_table(judged)
        tabs["Stage 2"] = _stage2_table(judged, trial.examiner.stage2)
    tabs["Overview"] += _alarms_table([row for row in trial.table if "accuracy" not in row])
    tabs["Every row"] = _every_row(trial.table)
    plan = trial.plan
    facts = {
        "environment": env, "agents": trial.data.clean.agents, "episodes a fault": plan.episodes, "alpha": plan.alpha,
        "sensor noise": plan.noise, "clean episodes": f"{plan.clean} + {plan.thresholds_from}",
        "mean clean return": number(float(trial.data.test.returns.mean())), "first seed": plan.seed,
    }  # fmt: skip
    return assembled(
        "Forensics", name, [(name, about)], facts, _trial_words(trial), tabs, page.figures,
        ("summary.csv", as_csv(trial.table)), provenance(),
    )  # fmt: skip


def _trial_words(trial: Trial) -> list[tuple[str, str]]:
    said = [("Left out", f"{name}: {why}") for name, why in trial.examiner.refused.items()]
    for row in trial.table:
        if row["fault"] == CLEAN:
            low, high = 100 * row["alarms_low"], 100 * row["alarms_high"]
            said.append(
                (
                    f"{row['detector']}, clean",
                    f"{100 * row['alarms']:.1f} % of clean episodes have an alarm [{low:.1f}, {high:.1f}]; the "
                    f"guarantee is {100 * trial.plan.alpha:g} %.",
                )
            )
    for detector in trial.examiner.monitors:
        rows = [row for row in trial.table if row["detector"] == detector and "accuracy" in row]
        if rows:
            said.append((detector, _judged(rows, trial.examiner.stage2)))
    return said


def _judged(rows: Sequence[Mapping[str, Any]], stage2: Sequence[str]) -> str:
    inside = sum(row["high"] >= PAPER[0] for row in rows)
    worst = min(rows, key=lambda row: row["accuracy"])
    text = (
        f"on {inside} of {len(rows)} faults in or above the range 88.2 to 99.4 % that arXiv:2602.08104 states for its "
        f"own settings, intervals counted; least on {worst['fault']}, {100 * worst['accuracy']:.1f} %."
    )
    changes = [
        f"{name} corrected {sum(row[f'{name}: corrected'] for row in rows)} and broke "
        f"{sum(row[f'{name}: broken'] for row in rows)}"
        for name in stage2
    ]
    return f"{text} Stage 2: {'; '.join(changes)}." if changes else text


def _stage1_table(rows: Sequence[Mapping[str, Any]]) -> Markup:
    lines = [
        Line(
            [
                _text(row["fault"]), _text(row["detector"]), _share(row, "accuracy", "low", "high"),
                *(_percent(row[name]) for name in ("missed", "early", "downstream")),
                *(_number(row[name]) for name in ("delay", "lead", "return_lost")),
            ]
        )
        for row in rows
    ]  # fmt: skip
    heads = ["Fault", "Detector", "Stage 1", "Missed", "Early", "Downstream", "Delay", "Lead", "Return lost"]
    return write_table("Stage 1", "Accuracy of stage 1", heads, lines, note=TABLE_NOTE)


def _stage2_table(rows: Sequence[Mapping[str, Any]], stage2: Sequence[str]) -> Markup:
    lines = []
    for row in rows:
        cells = [_text(row["fault"]), _text(row["detector"]), _share(row, "accuracy", "low", "high")]
        for name in stage2:
            after = _share(row, f"{name}: accuracy", f"{name}: low", f"{name}: high")
            change = f"  +{row[f'{name}: corrected']} −{row[f'{name}: broken']}"
            cells.append(Entry(after.text, after.value, "number", share=change, interval=after.interval))
        lines.append(Line(cells))
    heads = ["Fault", "Detector", "Stage 1", *(f"1 + 2, {name}" for name in stage2)]
    return write_table("Stage 1 and 1 + 2", "Accuracy after stage 2", heads, lines, note=STAGE2_NOTE)


def _alarms_table(rows: Sequence[Mapping[str, Any]]) -> Markup:
    lines = [Line([_text(row["fault"]), _text(row["detector"]), _percent(row["alarms"])]) for row in rows]
    note = "Episodes in which somebody is named although nobody failed first: clean ones, and shifts of all agents."
    return write_table("Alarms without a culprit", "Alarms", ["Condition", "Detector", "Episodes"], lines, note=note)


def _every_row(table: Sequence[Mapping[str, Any]]) -> Markup:
    names = list(dict.fromkeys(name for row in table for name in row))
    lines = [Line([_text(v) if isinstance(v := row.get(name), str) else _number(v) for name in names]) for row in table]
    heads = [name.replace("_", " ") for name in names]
    return write_table("Every detector and fault", "Every row", heads, lines, name="conditions", searchable=True)


def _text(value: Any) -> Entry:
    return Entry(str(value), str(value))


def _number(value: Any) -> Entry:
    known = math.nan if value is None else float(value)
    return Entry(number(known), repr(known), "number")


def _percent(value: Any) -> Entry:
    return Entry(f"{100 * value:.1f} %", repr(float(value)), "number")


def _share(row: Mapping[str, Any], value: str, low: str, high: str) -> Entry:
    interval = f"[{100 * row[low]:.1f}, {100 * row[high]:.1f}]"
    return Entry(f"{100 * row[value]:.1f} %", repr(row[value]), "number", interval=interval)


def _plots(sections: Sequence[Section], legend: Sequence[str] = (), key: str = "", note: str = "") -> Markup:
    return render("plots.html", sections=sections, legend=legend, key=key, note=note)


# An episode


def examination_page(found: Examination, recording: Recording, name: str, about: str, env: str) -> str:
    """The page of an examined episode.

    Args:
        found: what was found.
        recording: the episode, for its film.
        name, about: of the team.
        env: the environment in words.
    """
    page, finding = Figures(), found.finding
    agents = [f"agent {k}" for k in range(found.episodes.agents)]
    suspect, since = (-1, None) if finding is None else (finding.agent, finding.since)
    lines = [
        Section(
            detector,
            [page.plot(figures.timeline(a.verdicts.ratios[0], int(a.verdicts.step[0]), since, suspect), detector)],
            (EVIDENCE.get(detector, "").capitalize(),) if detector in EVIDENCE else (), wide=len(found.answers) == 1,
        )
        for detector, a in found.answers.items()
    ]  # fmt: skip
    key = "Dashed: the threshold. Dotted: since when the suspect failed; grey: when stage 1 flagged."
    tabs = {"Timeline": _plots(lines, agents, key)}
    graphs = [
        Section(
            f"Edges by {kind}", [page.plot(figures.graph(found, kind), f"graph of contagion by {kind}")],
            (f"Arrows: above the clean 95 % quantile, {'decides' if kind == found.edges else 'for comparison'}.",),
            wide=False,
        )
        for kind in found.pooled
    ]  # fmt: skip
    tabs["Contagion"] = _plots(graphs, agents) + _edges_table(found)
    twin = [
        Section("Return", [page.plot(figures.returns(found), "return of the episode and of its clean twin")],
                ("Grey, dashed: the same seed, played by the team without a fault.",), wide=False),
        Section("Observations", [page.plot(figures.gaps(found), "distance from the clean twin by agent")],
                ("Distance of what each agent received from what it received in the clean twin.",), wide=False),
    ]  # fmt: skip
    tabs["Clean twin"] = _plots(twin, agents)
    tabs["Film"] = _film(found, recording)
    facts = {
        "environment": env, "seed of the episode": recording.seed, "steps": len(recording),
        "played by": recording.agent, "decided by": f"{found.detector}, stage 2 {found.stage2}",
        "alpha": found.examiner.monitors[found.detector].alpha,
    }  # fmt: skip
    said = [("Answer", found.sentences[0]), *(("Evidence", text) for text in found.sentences[1:])]
    said += [("Left out", f"{what}: {why}") for what, why in found.examiner.refused.items()]
    rows = [
        {"step": t, "agent": k, **{d: float(a.verdicts.ratios[0, t, k]) for d, a in found.answers.items()}}
        for t in range(found.episodes.steps)
        for k in range(found.episodes.agents)
    ]
    tabs["Every score"] = _every_row(rows)
    return assembled(
        "Forensics of an episode", name, [(name, about)], facts, said, tabs, page.figures,
        ("scores.csv", as_csv(rows)), provenance(),
    )  # fmt: skip


def _edges_table(found: Examination) -> Markup:
    start = 0 if found.finding is None else found.finding.since
    lines = []
    for kind, pooled in found.pooled.items():
        scale = found.examiner.graphs[kind].scale
        assert scale is not None
        largest = pooled[start:].max(axis=0)
        for j, i in np.argwhere(~np.eye(len(largest), dtype=bool)):
            cells = [_text(kind), _text(f"agent {j}"), _text(f"agent {i}")]
            cells += [_number(largest[j, i]), _number(scale.limit[j, i])]
            over = bool(largest[j, i] > scale.limit[j, i])
            lines.append(Line([*cells, _text("above clean play" if over else "as in clean play")]))
    heads = ["Edges", "From", "To", "Largest", "Clean limit", "Verdict"]
    note = f"Standardised edges pooled over the causal window, at their largest from step {start} on."
    return write_table("Edges", "Edges of the graph", heads, lines, note=note)


def _film(found: Examination, recording: Recording) -> Markup:
    shown = replayed(recording)
    if shown is None:
        text = "There is no film: the environment draws no frames, or did not repeat the recorded rewards."
        return Markup('<section class="panel wide"><p class="note">{}</p></section>').format(text)
    frames, places, fps = shown
    marked = [_marked(frame, places[t], t, found) for t, frame in enumerate(frames)]
    data = base64.b64encode(film_bytes(marked, fps)).decode("ascii")
    note = "Replayed from the seed and the executed actions. Ring: the suspect, from the step of its failure on."
    if places[0] is None:
        note = "Replayed from the seed and the executed actions. The environment does not tell where its agents are."
    return Markup(
        '<section class="panel wide"><h3>The episode</h3><img alt="film of the episode" '
        'src="data:image/gif;base64,{}"><p class="note">{}</p></section>'
    ).format(data, note)


def _marked(frame: np.ndarray, places: np.ndarray | None, step: int, found: Examination) -> np.ndarray:
    """The frame with numbers of the agents, a ring around the suspect since its failure, and the step."""
    image = Image.fromarray(frame)
    draw, finding = ImageDraw.Draw(image), found.finding
    failed = finding is not None and step >= finding.since
    for agent, (x, y) in enumerate(() if places is None else places):
        draw.text((x, y), str(agent), fill=(255, 255, 255), anchor="mm", font_size=14)
        if failed and finding is not None and agent == finding.agent:
            draw.ellipse((x - 24, y - 24, x + 24, y + 24), outline="#b3261e", width=4)
    text = f"step {step}" + (f": agent {finding.agent} has failed" if failed and finding is not None else "")
    draw.text((6, 4), text, fill="#b3261e" if failed else "#3c3c3c", font_size=14)
    return np.asarray(image)
