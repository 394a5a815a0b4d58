"""Learning results on Gymnasium's MuJoCo v5 tasks: SAC, off-policy and on-policy MDPO, and PPO under one protocol.

    python benchmarks/results_v5.py --jobs 2           # runs what is missing, then writes the table
    python benchmarks/results_v5.py --table-only       # writes the table from the rows there are
    python benchmarks/results_v5.py --smoke            # two tiny runs of every agent, into the temporary folder

Every finished run adds one row to docs/results/mujoco_v5_rows.csv at once; a run whose row is there is not made again,
and a run that was cut in the middle goes on from its checkpoint in runs/results_v5. The order is: all cells with the
first seed, then all with the second, and so on.

Two budgets of environment steps, never in one column: the equal budget for all four agents, and a longer one for the
on-policy agents, whose steps are some thirty times cheaper.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.evaluation.evaluate import evaluate
from agentgym.parallel import map_tasks
from agentgym.runs.files import write_file
from agentgym.runs.metrics import Table
from agentgym.runs.run import Run, RunConfig, provenance
from agentgym.runs.train import resume, train
from agentgym.stats import bootstrap_interval, iqm

STEPS = {
    "InvertedPendulum-v5": 20_000,
    "InvertedDoublePendulum-v5": 30_000,
    "Reacher-v5": 30_000,
    "Hopper-v5": 40_000,
    "HalfCheetah-v5": 40_000,
}
DEFAULT_SEEDS = 5
LONG_STEPS = 500_000  # on-policy agents once more
LEARNING_STARTS = 1_000  # both off-policy agents
EVALUATION_SEED = 20_000  # root of the evaluation episodes' seeds, the same for all runs

AGENTS: dict[str, dict[str, Any]] = {
    "sac": {"learning_starts": LEARNING_STARTS},
    "mdpo": {"learning_starts": LEARNING_STARTS},
    "mdpo-onpolicy": {},
    "ppo": {"normalize": True},
}
ON_POLICY = ("mdpo-onpolicy", "ppo")
NAMES = {"sac": "SAC", "mdpo": "MDPO, off-policy", "mdpo-onpolicy": "MDPO, on-policy", "ppo": "PPO"}
COLUMNS = (
    "agent", "env", "steps", "seed", "config", "episodes", "returns", "mean_return", "trained_steps", "seconds",
    "error", "created", "git", "versions", "python",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One run to make."""

    agent: str
    env: str
    steps: int
    seed: int
    episodes: int
    runs: Path

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two rows the same run."""
        return tuple(map(str, (self.agent, self.env, self.steps, self.seed, self.config, self.episodes)))

    @property
    def config(self) -> str:
        """Settings other than the agent's defaults, as JSON."""
        return json.dumps(AGENTS[self.agent], sort_keys=True)

    @property
    def folder(self) -> Path:
        """Where the run is kept."""
        return self.runs / f"{self.agent}-{self.env}-{self.steps}-seed{self.seed}"


def queue(options: argparse.Namespace) -> Iterator[Cell]:
    """All cells, seed by seed; within a seed the short budget first."""
    for seed in range(options.seeds):
        for long in (False, True):
            for env in options.envs:
                for agent in options.agents:
                    steps = options.long_steps if long else math.ceil(STEPS[env] * options.scale)
                    if steps and (agent in ON_POLICY or not long):
                        yield Cell(agent, env, steps, seed, options.episodes, options.runs)


def play(cell: Cell) -> dict[str, Any]:
    """Train (or go on training) and evaluate: one row."""
    config = RunConfig(
        cell.agent, cell.env, steps=cell.steps, seed=cell.seed, device="cpu", threads=1, checkpoint_every=20_000,
        config=AGENTS[cell.agent],
    )  # fmt: skip
    began = time.monotonic()
    if (cell.folder / "config.json").is_file():
        run = Run.open(cell.folder)
        if run.record()["finished_steps"] != cell.steps:
            run = resume(cell.folder, progress=False)
    else:
        run = train(config, cell.folder.name, cell.runs, progress=False)
    seconds = run.record()["seconds"] or time.monotonic() - began
    rows = evaluate(run.path, [], episodes=cell.episodes, seed=EVALUATION_SEED, progress=False).rows
    if errors := [row.error for row in rows if row.error]:
        raise RuntimeError(f"evaluation failed: {errors[0]}")
    returns = [row.episode_return for row in rows]
    about = provenance()
    return {
        "returns": ";".join(f"{score:.3f}" for score in returns),
        "mean_return": f"{np.mean(returns):.3f}",
        "trained_steps": trained_steps(run),
        "seconds": f"{seconds:.0f}",
        "error": "",
        **stamp(about),
    }


def trained_steps(run: Run) -> int:
    """What was really made: on-policy agents finish their last batch."""
    values = json.loads((run.final / "values.json").read_text())
    return int(values["counters"]["num_timesteps"])


def stamp(about: dict[str, Any]) -> dict[str, str]:
    """Where a row comes from."""
    versions = " ".join(f"{name}={version}" for name, version in about["versions"].items())
    return {"created": about["created"], "git": about["git"] or "", "versions": versions, "python": about["python"]}


def keep(path: Path, cell: Cell, values: dict[str, Any]) -> None:
    """Add one row."""
    known = {k: v for k, v in asdict(cell).items() if k in COLUMNS}
    Table(path).append({**dict.fromkeys(COLUMNS, ""), **known, "config": cell.config, **values})


def read(path: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """The last row of every run."""
    key = ("agent", "env", "steps", "seed", "config", "episodes")
    return {tuple(row[name] for name in key): row for row in Table(path).rows()}


# The table


def table(rows: Iterable[dict[str, str]], options: argparse.Namespace) -> str:
    """docs/results/mujoco_v5.md."""
    rows = list(rows)
    equal = [row for row in rows if int(row["steps"]) != options.long_steps]
    long = [row for row in rows if int(row["steps"]) == options.long_steps]
    failed = [row for row in rows if row["error"]]
    parts = [HEADER.format(episodes=options.episodes, starts=LEARNING_STARTS, raw=options.rows.name)]
    if equal:
        parts += ["## Equal budget, all agents\n", grid(equal, list(AGENTS))]
    if long:
        parts += [f"## {options.long_steps:,} steps, on-policy agents\n", grid(long, list(ON_POLICY))]
    parts += ["## Failed runs\n", "\n".join(map(failure, failed)) if failed else "None."]
    parts += ["\n## Provenance\n", versions(rows)]
    return "\n".join(parts) + "\n"


HEADER = """# Results on MuJoCo v5

Written by `python benchmarks/results_v5.py`; the raw rows are in [{raw}]({raw}). Do not edit by hand.

**Protocol.** A run trains one agent with one seed for the given number of steps in one environment, on the CPU with
one thread. Its score is the mean return of the **final** policy (not the best one) over {episodes} episodes with
the policy's mode; the episode seeds are the same for every run. A cell is the interquartile mean over runs with its
95 % bootstrap interval over runs, and the number of runs. With fewer than 4 runs the interquartile mean is the
mean, and the interval is too narrow. On-policy agents finish their last batch of 2,048 steps. Settings are the
agents' defaults, except for {starts:,} initial random steps (both off-policy agents) and normalisation (PPO;
on-policy MDPO normalises by default). The budgets are small: the numbers do not show what an agent reaches
eventually.
"""


def grid(rows: list[dict[str, str]], agents: list[str]) -> str:
    """One line an environment, one column an agent."""
    lines = [
        f"| environment | steps | {' | '.join(NAMES[agent] for agent in agents)} |",
        "|---" * (len(agents) + 2) + "|",
    ]
    for env in STEPS:
        for steps in sorted({int(row["steps"]) for row in rows if row["env"] == env}):
            cells = [
                cell([r for r in rows if (r["env"], int(r["steps"]), r["agent"]) == (env, steps, agent)])
                for agent in agents
            ]
            lines.append(f"| {env} | {steps:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(rows: list[dict[str, str]]) -> str:
    """IQM [low, high], n."""
    scores = [float(row["mean_return"]) for row in rows if not row["error"]]
    lost = f", {len(rows) - len(scores)} failed" if len(scores) < len(rows) else ""
    if not scores:
        return f"no run{lost}"
    found = bootstrap_interval(scores, iqm)
    interval = f" [{found.low:.5g}, {found.high:.5g}]" if len(scores) > 1 else ""
    return f"{found.value:.5g}{interval}, n = {len(scores)}{lost}"


def failure(row: dict[str, str]) -> str:
    """One line of the list."""
    return f"- {NAMES[row['agent']]}, {row['env']}, {row['steps']} steps, seed {row['seed']}: {row['error']}"


def versions(rows: list[dict[str, str]]) -> str:
    """Every combination of versions that made rows, with revisions and the time that training took."""
    kinds: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        kinds.setdefault(f"Python {row['python']}, {row['versions']}", []).append(row)
    lines = []
    for kind, made in kinds.items():
        revisions = sorted({row["git"] for row in made})
        hours = sum(float(row["seconds"] or 0) for row in made) / 3600
        lines.append(
            f"- {len(made)} runs, {hours:.1f} hours on one core each: {kind}; revisions {', '.join(revisions)}"
        )
    return "\n".join(lines) if lines else "Nothing yet."


# The command


def main() -> None:
    options = arguments()
    cells = list(queue(options))
    known = read(options.rows)
    waiting = [] if options.table_only else [c for c in cells if not finished(known.get(c.key))]
    print(f"{len(cells)} runs in the plan, {len(cells) - len(waiting)} there already", flush=True)
    for number, outcome in enumerate(map_tasks(play, waiting, options.jobs), 1):
        now = waiting[outcome.index]
        values = outcome.value or {"error": outcome.error, **stamp(provenance())}
        keep(options.rows, now, values)
        said = outcome.error or f"{values['mean_return']} in {values['seconds']} s"
        print(f"{number}/{len(waiting)} {now.agent} {now.env} {now.steps} seed {now.seed}: {said}", flush=True)
        write_table(options)
    write_table(options)
    print(f"{options.rows}\n{options.table}")


def finished(row: dict[str, str] | None) -> bool:
    """A run that failed is tried again by the next command."""
    return row is not None and not row["error"]


def write_table(options: argparse.Namespace) -> None:
    """The whole table, whichever part of the plan this command runs; other budgets are another protocol."""
    known = read(options.rows)
    everything = {"agents": list(AGENTS), "envs": list(STEPS), "long_steps": options.long_steps or LONG_STEPS}
    whole = argparse.Namespace(**{**vars(options), **everything, "seeds": max(options.seeds, DEFAULT_SEEDS)})
    write_file(options.table, table([known[c.key] for c in queue(whole) if c.key in known], whole))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=DEFAULT_SEEDS, help="seeds 0, 1, ... of every cell")
    parser.add_argument("--agents", nargs="*", default=list(AGENTS), choices=list(AGENTS))
    parser.add_argument("--envs", nargs="*", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the steps of the equal budget")
    parser.add_argument("--long-steps", type=int, default=LONG_STEPS, help="0 leaves the longer budget out")
    parser.add_argument("--episodes", type=int, default=20, help="evaluation episodes a run")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--runs", type=Path, default=Path("runs/results_v5"), help="where the trained agents are kept")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--table-only", action="store_true", help="train nothing")
    parser.add_argument("--smoke", action="store_true", help="two tiny runs of every agent, into the temporary folder")
    options = parser.parse_args()
    if options.smoke:
        options.out = Path(tempfile.gettempdir()) / "results_v5"
        options.runs = options.out / "runs"
        options.envs, options.seeds, options.scale, options.long_steps = ["InvertedPendulum-v5"], 2, 0.055, 2_048
    options.rows, options.table = options.out / "mujoco_v5_rows.csv", options.out / "mujoco_v5.md"
    return options


if __name__ == "__main__":
    main()
