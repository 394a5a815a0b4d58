"""The tables of docs/results/forensics.md: who failed first, by team, detector, fault, sensor noise and stage.

    python benchmarks/forensics_table.py measure runs/spread                     # all faults, both stages
    python benchmarks/forensics_table.py measure runs/spread --noise 0.05 --detectors combined
    python benchmarks/forensics_table.py repair runs/spread                      # links repaired
    python benchmarks/forensics_table.py page

``measure`` plays the trained team of a run and writes its rows into docs/results/forensics_rows.csv, in place of those
of the same team, noise and detectors: a row for each detector, alpha and fault, with the counts of stage 2 by rule and
edges. ``repair`` plays episodes again, with the agent repaired that sends the strongest link, or the weakest, when
``combined`` flags somebody, and writes forensics_repair.csv. ``page`` makes the page and its figure of all rows. One
thread; ``--folder`` for another folder.
"""

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from forensics_page import write

from agentgym.evaluation.entrants import load_agent
from agentgym.evaluation.forensics.benchmark import CLEAN, Data, clean_row, fault_row, gather
from agentgym.evaluation.forensics.examiner import Examiner
from agentgym.evaluation.forensics.faults import PAGE, Fault
from agentgym.evaluation.forensics.monitor import conformal_threshold
from agentgym.evaluation.forensics.repair import repair_links
from agentgym.evaluation.forensics.team import LearnedTeam
from agentgym.runs.metrics import Table
from agentgym.runs.run import Run

DOCS = Path(__file__).resolve().parents[1] / "docs" / "results"
DETECTORS = ("combined", "dynamics", "policy_gap", "taylor_move", "mahalanobis")
ALPHAS = (0.05, 0.01)
CLEAN_EPISODES, FRESH = 1900, 2000
REPAIRED = ("gauss:0.5", "freeze", "fgsm:0.3", "arand", "astuck", "wnoise:0.5")
OF_CHOICES = ("fgsm", "pgd", "wnoise")  # faults that need a team with choices


def measure(path: Path, noise: float, detectors: list[str], faults: list[str], episodes: int) -> list[dict[str, Any]]:
    """The rows of a team."""
    start, config = time.process_time(), Run.open(path).config
    team = LearnedTeam(load_agent(path / "final"))
    if not team.layout.discrete:
        faults = [fault for fault in faults if not fault.startswith(OF_CHOICES)]
    data = gather(
        team, config.env, faults, episodes, CLEAN_EPISODES, max(FRESH, episodes), config.env_kwargs, noise
    )  # fmt: skip
    examiner = Examiner.fit(team, data, detectors, min(ALPHAS))
    head = {
        "team": team_name(team, config), "env": config.env, "steps": config.steps,
        "seed": config.seed, "clean_return": round(float(data.test.returns.mean()), 2), "noise": noise,
    }  # fmt: skip
    rows = [head | row for row in answered(examiner, data)]
    print(f"{head['team']}, noise {noise:g}: {time.process_time() - start:.0f} CPU s", flush=True)
    return rows


def answered(examiner: Examiner, data: Data) -> list[dict[str, Any]]:
    """The rows of all detectors, conditions and alphas."""
    fresh = {name: monitor.scaled(data.fresh).max((1, 2)) for name, monitor in examiner.monitors.items()}
    rows: list[dict[str, Any]] = []
    for condition in (CLEAN, *data.faulty):
        played = data.test if condition == CLEAN else data.faulty[condition]
        series = examiner.series(played)
        for name, monitor in examiner.monitors.items():
            scaled = monitor.scaled(played)
            for alpha in ALPHAS:
                monitor.threshold = conformal_threshold(fresh[name], alpha)
                answers = examiner.answers(name, played, series, scaled)
                row = {"detector": name, "alpha": alpha, "fault": condition}
                if condition == CLEAN:
                    rows.append(row | clean_row(answers.verdicts))
                    continue
                row |= fault_row(played, answers.verdicts)
                for stage2 in answers.findings:
                    both = fault_row(played, answers.verdicts, answers.named(stage2))
                    row |= {f"{stage2} {part}": both[part] for part in ("accuracy_2", "corrected", "broken")}
                rows.append(row)
    return rows


def repairs(path: Path, faults: list[str], episodes: int) -> list[dict[str, Any]]:
    """The rows of repaired links of a team."""
    config = Run.open(path).config
    team = LearnedTeam(load_agent(path / "final"))
    data = gather(team, config.env, faults, episodes, CLEAN_EPISODES, FRESH, config.env_kwargs)
    examiner = Examiner.fit(team, data, ["combined"], min(ALPHAS))
    rows = []
    for name, played in data.faulty.items():
        verdicts = examiner.monitors["combined"].examine(played)
        flagged = np.flatnonzero((verdicts.agent >= 0) & (verdicts.step < played.steps - 1))
        known, when = played.take(flagged), verdicts.step[flagged]
        for edges, graph in examiner.graphs.items():
            assert graph.scale is not None
            found = repair_links(
                team, config.env, known, Fault.parse(name), graph.series(known), graph.scale, when, config.env_kwargs
            )  # fmt: skip
            head = {"team": team_name(team, config), "fault": name, "edges": edges}
            rows.append(head | {"episodes": found.episodes, "lost": found.lost} | found.shares)
            print(rows[-1], flush=True)
    return rows


def team_name(team: LearnedTeam, config: Any) -> str:
    """The team in words."""
    known = ("agents", "continuous_actions")
    kwargs = "".join(f", {key} {value}" for key, value in config.env_kwargs.items() if key not in known)
    return f"{config.agent}, {team.layout.agents} agents{'' if team.layout.discrete else ', Box'}{kwargs}"


def save(rows: list[dict[str, Any]], path: Path, keys: tuple[str, ...] = ("team", "noise", "detector")) -> None:
    """Replace what is measured anew."""
    known: list[dict[str, Any]] = [
        {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in row.items()} for row in rows
    ]
    new = {tuple(str(row[key]) for key in keys) for row in known}
    kept = [row for row in Table(path).rows() if tuple(row[key] for key in keys) not in new]
    names = list(dict.fromkeys(name for row in [*known, *kept] for name in row))
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted([*kept, *known], key=lambda row: [str(row[key]) for key in keys]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    measuring, repairing, making = (commands.add_parser(name) for name in ("measure", "repair", "page"))
    for each in (measuring, repairing):
        each.add_argument("run", type=Path, help="folder of a trained run")
        each.add_argument("--episodes", type=int, default=500, help="for each fault")
    measuring.add_argument("--noise", type=float, default=0.0, help="standard deviation of sensor noise")
    measuring.add_argument("--detectors", nargs="+", default=list(DETECTORS))
    measuring.add_argument("--faults", nargs="+", default=list(PAGE))
    repairing.add_argument("--faults", nargs="+", default=list(REPAIRED))
    for each in (measuring, repairing, making):
        each.add_argument("--folder", type=Path, default=DOCS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "page":
        write(options.folder)
    elif options.what == "repair":
        rows = repairs(options.run, options.faults, options.episodes)
        save(rows, options.folder / "forensics_repair.csv", ("team", "fault", "edges"))
    else:
        made = measure(options.run, options.noise, options.detectors, options.faults, options.episodes)
        save(made, options.folder / "forensics_rows.csv")
