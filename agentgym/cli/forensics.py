"""The command ``agentgym forensics RUN``: which agent of a team failed first, in a benchmark or in one episode."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import tyro

from agentgym.contracts.settings import parse_values
from agentgym.errors import AskError
from agentgym.runs.files import require_writable, unused, write_file

HELP = """Find out which agent of a team failed first, and who was dragged along.

With --faults: play every fault in many episodes, ask every detector, and write rows.csv, summary.csv and report.html.
With --episode: examine one episode that was recorded with `agentgym play RUN --record FILE`, calibrated on fresh clean
episodes of the same run; the answer is printed in words, and report.html has scores, graph, clean twin and film.

Examples:

agentgym forensics runs/team --faults gauss:0.5 fgsm:0.1 astuck --detectors combined taylor_move --episodes 100

agentgym forensics runs/team --faults benchmark --detectors taylor_fixed taylor_move mahalanobis combined --noise 0.02

agentgym play runs/team --perturb AgentObservationFault:kind=gauss,size=0.5 --record episode.npz

agentgym forensics runs/team --episode episode.npz --detectors combined dynamics policy_gap

Faults, detectors and rules are described in agentgym/evaluation/forensics/README.md.
"""

RECORD = "forensics.json"


def forensics(
    run: Annotated[Path, tyro.conf.Positional],
    faults: tuple[str, ...] = (),
    episode: Path | None = None,
    detectors: tuple[str, ...] = ("combined", "dynamics", "policy_gap"),
    stage2: str = "walk action_gap",
    episodes: int = 500,
    alpha: float = 0.05,
    noise: float = 0.0,
    seed: int = 0,
    clean: int = 1900,
    fresh: int | None = None,
    env: str | None = None,
    env_kwargs: tuple[str, ...] | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Examine a team.

    Args:
        run: folder of the run of maddpg, hatrpo or hatrpo-q.
        faults: KIND or KIND:SIZE, such as gauss:0.5, fgsm:0.1, freeze, astuck, wnoise:0.2; "benchmark" stands for the
            thirteen of the benchmark's table.
        episode: a recorded episode (.npz) to examine instead.
        detectors: names of detectors; the first decides about an episode.
        stage2: rule (walk, gate) and edges (action_gap, critic) that confirm or correct what is said of an episode; a
            benchmark shows all of them.
        episodes: episodes for each fault, and clean ones for false alarms.
        alpha: the largest share of clean episodes with an alarm.
        noise: standard deviation of sensor noise in all episodes, in the units of observations.
        seed: the first seed of the episodes.
        clean: clean episodes for models and scales.
        fresh: further clean episodes for thresholds; by default 1000, or 20 / alpha if that is more.
        env: environment; by default that of the training.
        env_kwargs: its keyword arguments, KEY=VALUE; by default those of the training.
        out: output folder; by default reports/RUN-forensics, or reports/RUN-EPISODE.
        overwrite: replace an earlier report in the output folder.
    """
    if bool(faults) == (episode is not None):
        raise AskError(
            "Name faults (--faults gauss:0.5, or benchmark) or one recorded episode (--episode FILE), not both."
        )
    from agentgym.evaluation.forensics.faults import PAGE
    from agentgym.evaluation.forensics.trial import Plan
    from agentgym.evaluation.report import require

    require()
    asked = tuple(name for word in faults for name in (PAGE if word == "benchmark" else (word,)))
    plan = Plan(asked, detectors, episodes if faults else 1, alpha, noise, seed, clean, fresh)
    folder = _folder(run, episode, out, overwrite)
    team, name, about, kwargs = _team(run, env, None if env_kwargs is None else parse_values(env_kwargs))
    if episode is None:
        _benchmark(run, team, name, kwargs, about, plan, folder)
    else:
        _examine(run, team, name, kwargs, about, plan, folder, episode, stage2)


def _benchmark(
    run: Path, team: Any, env: str, kwargs: dict[str, Any], about: str, plan: Any, folder: Path
) -> None:  # fmt: skip
    from agentgym.evaluation.forensics.pages import as_csv, trial_page
    from agentgym.evaluation.forensics.trial import run_trial
    from agentgym.progress import bar

    with bar("forensics", plan.parts) as shown:
        trial = run_trial(team, env, kwargs, plan, _Counter(shown))
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "rows.csv", as_csv(trial.rows))
    write_file(folder / "summary.csv", as_csv(trial.table))
    write_file(folder / "report.html", trial_page(trial, run.resolve().name, about, _described(env, kwargs)))
    _write_record(folder, plan, env, kwargs)
    _print(trial)
    print(f"rows: {folder / 'rows.csv'}\nreport: {folder / 'report.html'}")


def _examine(
    run: Path, team: Any, env: str, kwargs: dict[str, Any], about: str, plan: Any, folder: Path, episode: Path,
    stage2: str,
) -> None:  # fmt: skip
    from agentgym.evaluation.forensics.examine import episodes_of, examine, require_known
    from agentgym.evaluation.forensics.examiner import Examiner
    from agentgym.evaluation.forensics.pages import examination_page
    from agentgym.play.recording import Recording
    from agentgym.progress import bar

    require_known(stage2)
    recording = Recording.load(episode)
    recorded = episodes_of(recording, team, env, kwargs)
    with bar("forensics", len(set(plan.detectors)) + 3) as shown:
        say = _Counter(shown)
        say("playing clean episodes")
        data = plan.gather(team, env, kwargs, ())
        examiner = Examiner.fit(team, data, plan.detectors, plan.alpha, say)
        say("examining")
        found = examine(examiner, recorded, env, kwargs, plan.noise, stage2)
    folder.mkdir(parents=True, exist_ok=True)
    page = examination_page(found, recording, run.resolve().name, about, _described(env, kwargs))
    write_file(folder / "report.html", page)
    _write_record(folder, plan, env, kwargs)
    for sentence in found.sentences:
        print(sentence)
    for what, why in examiner.refused.items():
        print(f"Left out: {what}: {why}")
    print(f"report: {folder / 'report.html'}")


class _Counter:
    """Counts what is said on a bar."""

    def __init__(self, shown: Any) -> None:
        self.shown, self.done = shown, 0

    def __call__(self, text: str) -> None:
        self.shown.update(self.done, text)
        self.done += 1


def _team(run: Path, env: str | None, kwargs: dict[str, Any] | None) -> tuple[Any, str, str, dict[str, Any]]:
    """The team, its environment's id, what is known of it, and the environment's keyword arguments."""
    from agentgym.evaluation.entrants import read_entrants, shared_environment
    from agentgym.evaluation.forensics.team import LearnedTeam

    entrants = read_entrants([run])
    team = LearnedTeam(entrants[0].agent)
    name, arguments, _ = shared_environment(entrants, env, kwargs)
    record = entrants[0].record
    about = f"{record.algorithm}, {record.steps:,} steps".replace(",", " ").replace("  ", ", ")
    return team, name, about, arguments


def _described(env: str, kwargs: dict[str, Any]) -> str:
    return f"{env}({', '.join(f'{key}={value}' for key, value in kwargs.items())})" if kwargs else env


def _folder(run: Path, episode: Path | None, out: Path | None, overwrite: bool) -> Path:
    """The output folder, which is not created yet.

    Raises:
        AskError: it holds something that must not be replaced, or is not writable.
    """
    what = "forensics" if episode is None else episode.stem
    folder = Path("reports") / f"{run.resolve().name}-{what}" if out is None else out
    if out is None and not overwrite:
        folder = unused(folder)
    elif folder.exists() or folder.is_symlink():
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / RECORD).is_file()):
            raise AskError(f"{folder} exists and is no report of forensics. Choose another --out.")
        if any(folder.iterdir()) and not overwrite:
            raise AskError(f"{folder} holds a report. Choose another --out, or replace it with --overwrite.")
    require_writable(folder / "report.html")
    return folder


def _write_record(folder: Path, plan: Any, env: str, kwargs: dict[str, Any]) -> None:
    from agentgym.runs.run import provenance

    record = {"env": env, "env_kwargs": kwargs, **asdict(plan), **provenance()}
    write_file(folder / RECORD, json.dumps(record, indent=1, default=str))


def _print(trial: Any) -> None:
    """The accuracies as a table: stage 1, and what the walk along action gaps made of it."""
    from rich.console import Console
    from rich.table import Table

    stage2 = trial.examiner.stage2[0]
    table = Table(title=f"Patient-0 accuracy, % [95 %]; stage 2: {stage2}")
    for head in ("fault", "detector", "stage 1", "stage 1 + 2", "corrected", "broken", "missed", "delay"):
        table.add_column(head, no_wrap=True)
    for row in trial.table:
        if "accuracy" not in row:
            table.add_row(row["fault"], row["detector"], f"alarms {100 * row['alarms']:.1f}")
            continue
        cells = [
            f"{100 * row[f'{at}accuracy']:.1f} [{100 * row[f'{at}low']:.1f}, {100 * row[f'{at}high']:.1f}]"
            for at in ("", f"{stage2}: ")
        ]
        delay = "" if row["delay"] is None else f"{row['delay']:g}"
        counts = [str(row[f"{stage2}: {name}"]) for name in ("corrected", "broken")]
        table.add_row(row["fault"], row["detector"], *cells, *counts, f"{100 * row['missed']:.1f}", delay)
    Console(width=140).print(table)
    for name, why in trial.examiner.refused.items():
        print(f"left out: {name}: {why}")


def main(arguments: list[str]) -> None:
    """Entry point of the command."""
    tyro.cli(forensics, prog="agentgym forensics", args=arguments, description=HELP)
