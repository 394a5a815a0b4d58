"""Learning curves of the language agents in households: GRPO, GiGPO, GRPO with SPEAR, GRPO with EPO.

    python benchmarks/language_learning.py --jobs 2        # runs what is missing, then writes table, curves and picture
    python benchmarks/language_learning.py --table-only    # from the rows there are
    python benchmarks/language_learning.py --smoke         # tiny runs of everything, into the temporary folder

A seed has one imitation start, which all methods share; with it, a run learns for a fixed number of environment steps.
Every run adds its rows to docs/results/language_rows.csv and language_curves.csv at once; a run whose row is there is
not made again, and one that was cut in the middle goes on from its checkpoint in runs/language.
docs/results/language.md has the protocol.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from matplotlib.figure import Figure

import agentgym  # noqa: F401  (registers the environments)
from agentgym.agents import GRPO
from agentgym.agents.common.denormals import flushing_denormals
from agentgym.agents.language.loop.rollout import Rollout
from agentgym.agents.language.policies.policy import Sampler
from agentgym.evaluation.entrants import load_agent
from agentgym.parallel import map_tasks
from agentgym.runs.files import write_file
from agentgym.runs.metrics import Table
from agentgym.runs.run import Run, RunConfig, provenance
from agentgym.runs.train import resume, train
from agentgym.stats import bootstrap_interval

ENV = "agentgym/Household-v0"
WORLD: dict[str, Any] = {"size": "tiny", "tasks": ["place", "clean", "heat", "cool"]}
STEPS = 250_000  # environment steps a run
IMITATION = 250  # batches of 64 demonstrations
RATE = 3e-4
ITERATIONS = 200  # about as many as a run has: the length of the methods' schedules
AGENTS: dict[str, dict[str, Any]] = {
    "grpo": {},
    "spear": {"methods": ["entropy:weight=0.005", f"spear:bonus_length={ITERATIONS},weight_length={ITERATIONS // 2}"]},
    "epo": {"methods": [f"epo:weight=0.005,alpha=1,epochs={ITERATIONS}"]},
    "gigpo": {},
}
START = "imitation"
NAMES = {START: "imitation start", "grpo": "GRPO", "gigpo": "GiGPO", "spear": "GRPO + SPEAR", "epo": "GRPO + EPO"}
EVALUATION_EPISODES, EVALUATION_SEED = 512, 1_000_000
SPLITS = ("unseen", "seen")
ROW = (
    "agent", "seed", "steps", "iterations", "split", "sampled", "greedy", "turns", "seconds", "error", "created", "git",
    "versions",
)  # fmt: skip
CURVES = {
    "success": "rollout/success", "entropy": "entropy/mean", "dead_failed": "rollout/dead_groups_failed",
    "dead_solved": "rollout/dead_groups_solved", "turns": "rollout/ep_len_mean", "invalid": "rollout/invalid_turns",
    "clip_fraction": "train/clip_fraction", "replayed": "spear/replayed", "outside_band": "epo/outside",
}  # fmt: skip
CURVE_STEP = 10  # iterations that one row of the curves is the mean of


@dataclass(frozen=True)
class Cell:
    """One agent with one seed."""

    agent: str
    seed: int
    steps: int
    imitation: int
    runs: Path

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two rows the same run's."""
        return self.agent, str(self.seed), str(self.steps if self.agent != START else 0)


# One run


def play(cell: Cell) -> list[dict[str, Any]]:
    """Train (or go on training) and judge: one row a split."""
    torch.set_num_threads(1)
    if cell.agent == START:
        agent, about = load_agent(imitated(cell)), {"steps": 0, "iterations": 0, "seconds": ""}
    else:
        run = trained(cell)
        agent = load_agent(run.final)
        about = {"steps": cell.steps, "iterations": agent.iteration, "seconds": round(run.record()["seconds"])}
    return [{**about, "split": split, **judged(agent, split)} for split in SPLITS]


def imitated(cell: Cell) -> Path:
    """The seed's imitation start."""
    folder = cell.runs / f"start-seed{cell.seed}"
    if not folder.is_dir():
        agent = GRPO("tiny", worlds(128, "train"), seed=cell.seed, device="cpu", imitation_batches=cell.imitation)
        agent.learn(0).save(folder)
    return folder


def trained(cell: Cell) -> Run:
    """The finished run."""
    folder = cell.runs / f"{cell.agent}-seed{cell.seed}"
    if (folder / "config.json").is_file():
        run = Run.open(folder)
        return run if run.record()["finished_steps"] == cell.steps else resume(folder, progress=False)
    config = RunConfig(
        cell.agent, ENV, env_kwargs=WORLD, steps=cell.steps, seed=cell.seed, device="cpu", threads=1,
        checkpoint_every=20_000, config={"start": str(imitated(cell)), "learning_rate": RATE, **AGENTS[cell.agent]},
    )  # fmt: skip
    return train(config, folder.name, folder.parent, progress=False)


def worlds(count: int, split: str) -> Any:
    """A batch of homes."""
    return gymnasium.make_vec(
        ENV, count, "vector_entry_point", autoreset_mode=AutoresetMode.SAME_STEP, split=split, **WORLD
    )


@flushing_denormals()
def judged(agent: Any, split: str) -> dict[str, float]:
    """Shares of episodes that succeed, one in each of the same worlds for all; turns when sampled."""
    rollout = Rollout(worlds(EVALUATION_EPISODES, split), agent.policy, 1, agent.choosing, 0)
    seeds = [EVALUATION_SEED + number for number in range(EVALUATION_EPISODES)]
    found: dict[str, float] = {}
    for name in ("sampled", "greedy"):
        episodes = rollout.play(seeds, Sampler(torch.Generator().manual_seed(0), deterministic=name == "greedy"))
        found[name] = float(np.mean([episode.won for episode in episodes]))
        if name == "sampled":
            found["turns"] = float(np.mean([len(episode.turns) for episode in episodes]))
    return {name: round(value, 4) for name, value in found.items()}


# Rows


def curve(cell: Cell) -> list[dict[str, Any]]:
    """The run's metrics, a row the mean of some iterations."""
    own = [
        row
        for row in Table(cell.runs / f"{cell.agent}-seed{cell.seed}" / "metrics.csv").rows()
        if row["rollout/success"]
    ]
    rows = []
    for first in range(0, len(own) - CURVE_STEP + 1, CURVE_STEP):
        part = own[first : first + CURVE_STEP]
        means = {name: _mean_of(part, key) for name, key in CURVES.items()}
        step = part[-1]["time/total_timesteps"]
        rows.append({"agent": cell.agent, "seed": cell.seed, "iteration": first + CURVE_STEP, "step": step, **means})
    return rows


def _mean_of(rows: list[dict[str, str]], key: str) -> float | str:
    values = [float(row[key]) for row in rows if row.get(key)]
    return round(float(np.mean(values)), 4) if values else ""


# The table and the picture

HEADER = """# Results of language agents in households

Written by `python benchmarks/language_learning.py`; raw rows: [{rows}]({rows}), curves: [{curves}]({curves}). Do not
edit by hand.

**Protocol.** The environment is `{env}` with {world}: four receptacles, no closed doors, three objects and 12
turns. The only reward is 1 for success. The agent is the tiny policy (2 layers of width 64), which chooses among
the admissible commands. All methods share one imitation start per seed: {imitation} batches of 64 demonstrations by
the explorer, which knows only what it has seen, with 30 % random turns. Each method then trains for {steps:,}
environment steps with 16 tasks x 8 episodes per iteration and learning rate {rate}. Schedules are {iterations}
iterations long (SPEAR's replay fades in over half of that). All other settings are defaults, so GRPO, GiGPO and
SPEAR have an entropy bonus of 0.005, and EPO has its own with the same weight and alpha 1, so that leaving the band
weighs as much as the bonus. The **final** policy is evaluated in {episodes} homes with pairs of object and target
that were never trained (*unseen*), and with trained pairs in other homes (*seen*); one episode each, in the same
homes for all. Cells show the mean over seeds and its 95 % bootstrap interval over seeds. "Against GRPO" is the mean
over seeds of the difference from GRPO with the same seed and start, in percentage points.
"""


def tables(rows: list[dict[str, str]], options: argparse.Namespace) -> str:
    """docs/results/language.md."""
    good = [row for row in rows if not row["error"]]
    parts = [
        HEADER.format(
            rows=options.rows.name, curves=options.curves.name, env=ENV, world=WORLD, imitation=options.imitation,
            steps=options.steps, rate=RATE, iterations=ITERATIONS, episodes=EVALUATION_EPISODES,
        ),
        f"![Success and entropy during training]({options.picture.name})\n",
    ]  # fmt: skip
    for split in SPLITS:
        parts += [f"## Evaluation in {split} homes\n", _table([row for row in good if row["split"] == split])]
    failed = [f"- {row['agent']}, seed {row['seed']}: {row['error']}" for row in rows if row["error"]]
    parts += ["## Failed runs\n", "\n".join(failed) or "None.", "\n## Provenance\n"]
    learned = {(row["agent"], row["seed"]): float(row["seconds"]) for row in good if row["seconds"]}
    versions, revisions = (sorted({row[name] for row in rows}) for name in ("versions", "git"))
    parts.append(
        f"- {len(learned)} runs, {sum(learned.values()) / 3600:.1f} hours on one shared core each: "
        f"{'; '.join(versions)}; revisions {', '.join(revisions)}"
    )
    return "\n".join(parts) + "\n"


def _table(rows: list[dict[str, str]]) -> str:
    ways = ("sampled", "greedy")
    names = ("method", "seeds", *ways, "turns", *(f"{how}, against GRPO" for how in ways))
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    scores = {(row["agent"], row["seed"]): row for row in rows}
    for agent in (START, *AGENTS):
        seeds = sorted({row["seed"] for row in rows if row["agent"] == agent})
        if not seeds:
            continue
        cells = [_estimate([100 * float(scores[agent, seed][how]) for seed in seeds], " %") for how in ways]
        cells.append(f"{np.mean([float(scores[agent, seed]['turns']) for seed in seeds]):.1f}")
        shared = [seed for seed in seeds if ("grpo", seed) in scores] if agent not in (START, "grpo") else []
        for how in ways:
            gains = [100 * (float(scores[agent, seed][how]) - float(scores["grpo", seed][how])) for seed in shared]
            cells.append(_estimate(gains, "", "+") if gains else "")
        lines.append(f"| {NAMES[agent]} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _estimate(scores: list[float], unit: str, sign: str = "") -> str:
    if len(scores) == 1:
        return f"{scores[0]:{sign}.1f}{unit}"
    found = bootstrap_interval(scores, np.mean)
    return f"{found.value:{sign}.1f}{unit} [{found.low:{sign}.1f}, {found.high:{sign}.1f}]"


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Training success and entropy against environment steps: each seed thin, the mean over seeds thick."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for number, agent in enumerate(AGENTS):
        own = [row for row in rows if row["agent"] == agent]
        for axis, name in zip(axes, ("success", "entropy"), strict=True):
            seeds = [_line(own, seed, name) for seed in sorted({row["seed"] for row in own})]
            for steps, values in seeds:
                axis.plot(steps, values, color=f"C{number}", alpha=0.3, linewidth=0.8)
            if seeds:
                length = min(len(values) for _, values in seeds)
                steps = np.mean([steps[:length] for steps, _ in seeds], axis=0)
                mean = np.mean([values[:length] for _, values in seeds], axis=0)
                axis.plot(steps, mean, color=f"C{number}", linewidth=2, label=f"{NAMES[agent]} (n={len(seeds)})")
    for axis, label in zip(axes, ("success in training, sampled", "entropy of a choice (nats)"), strict=True):
        axis.set(xlabel="environment steps", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].set_ylim(0, 1)
    if axes[0].lines:
        axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _line(rows: list[dict[str, str]], seed: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    own = [row for row in rows if row["seed"] == seed]
    return np.array([float(row["step"]) for row in own]), np.array([float(row[name]) for row in own])


# The command


def main() -> None:
    options = arguments()
    cells = [
        Cell(agent, seed, options.steps, options.imitation, options.runs)
        for seed in options.seeds
        for agent in (START, *options.agents)
    ]
    known = {(row["agent"], row["seed"], row["steps"]) for row in Table(options.rows).rows() if not row["error"]}
    waiting = [] if options.table_only else [cell for cell in cells if cell.key not in known]
    print(f"{len(cells)} runs in the plan, {len(cells) - len(waiting)} there already", flush=True)
    starts = [cell for cell in waiting if cell.agent == START]
    for group in (starts, [cell for cell in waiting if cell.agent != START]):  # the starts are shared: first
        for outcome in map_tasks(play, group, options.jobs):
            keep(group[outcome.index], outcome, options)
    write(options)
    print(f"{options.rows}\n{options.table}\n{options.picture}")


def keep(cell: Cell, outcome: Any, options: argparse.Namespace) -> None:
    """A run's rows and curve into the files."""
    about = provenance()
    versions = " ".join(f"{name}={version}" for name, version in about["versions"].items())
    own = {
        "agent": cell.agent,
        "seed": cell.seed,
        "created": about["created"],
        "git": about["git"],
        "versions": versions,
    }
    rows = outcome.value or [{"steps": cell.steps, "split": SPLITS[0], "error": outcome.error}]
    for row in rows:
        Table(options.rows).append({**dict.fromkeys(ROW, ""), **own, **row})
    for row in curve(cell) if outcome.value and cell.agent != START else ():
        Table(options.curves).append(row)
    said = outcome.error or " ".join(f"{row['split']} {row['sampled']:.3f} {row['greedy']:.3f}" for row in rows)
    print(f"{cell.agent} seed {cell.seed}: {said}", flush=True)
    write(options)


def write(options: argparse.Namespace) -> None:
    """Table and picture from the rows there are."""
    write_file(options.table, tables(Table(options.rows).rows(), options))
    draw(Table(options.curves).rows(), options.picture)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[10, 11, 12], help="0 to 3 were the pilot's")
    parser.add_argument("--agents", nargs="*", default=list(AGENTS), choices=list(AGENTS))
    parser.add_argument("--steps", type=int, default=STEPS, help="environment steps a run")
    parser.add_argument("--imitation", type=int, default=IMITATION, help="batches of demonstrations")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--runs", type=Path, default=Path("runs/language"), help="where the trained agents are kept")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--table-only", action="store_true", help="train nothing")
    parser.add_argument("--smoke", action="store_true", help="tiny runs of everything, into the temporary folder")
    options = parser.parse_args()
    if options.smoke:
        options.out = Path(tempfile.gettempdir()) / "language_learning"
        options.runs, options.steps, options.imitation, options.seeds = options.out / "runs", 50_000, 5, [0]
    for name, file in (("rows", "rows.csv"), ("curves", "curves.csv"), ("table", "md"), ("picture", "png")):
        setattr(options, name, options.out / (f"language.{file}" if "." not in file else f"language_{file}"))
    return options


if __name__ == "__main__":
    main()
