"""Dichotomy of Control with tables on the exact Bernoulli bandit: return and promise over p, and the time of the sweep.

Arm 0 pays 1 with probability 1 - p, arm 1 with probability p; the behaviour pulls arm 0 in a share p of 1000 pulls
only, and all shares are exactly as expected. Return and mutual information are computed from the learned tables, not
played; z is the best of 100 draws from the prior. Six ways, ten seeds each but the last, which has none:

- doc: min over posterior and policy, max over the energy; the value's error does not reach the posterior;
- doc, value not stopped: it does;
- future-vae: without the constraint, the value's error shapes the posterior, as the paper's loss has it;
- future-vae, value stopped: the same with doc's stop-gradient, so that the constraint is all that differs;
- released-code: the contrast minimised by energy and posterior together;
- rcbc: return-conditioned cloning, counted.

Every way learns all its problems as one tensor. The time is that of doc's 50, against the same problems one at a time
(one of each p, times ten); the rounds take turns.

    python benchmarks/doc_bandit.py            # writes docs/results/doc_bandit.csv and docs/doc_bandit.png
    python benchmarks/doc_bandit.py --quick    # under a minute, three seeds, writes nothing
"""

import argparse
import csv
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from gymnasium import spaces
from matplotlib.figure import Figure

from agentgym.agents.offline.doc.tabular import outcomes_of
from agentgym.agents.offline.doc.tabular_config import TabularDoCConfig
from agentgym.agents.offline.doc.tabular_learning import learn_tables
from agentgym.agents.offline.doc.tabular_tables import LatentTables, Outcomes, best_of, candidates
from agentgym.agents.offline.rcbc.rcbc import RCBC
from agentgym.data.dataset import Description, OfflineDataset

PS = (0.1, 0.2, 0.3, 0.4, 0.5)
STEPS = 1000
WAYS = {
    "doc": TabularDoCConfig(),
    "doc, value not stopped": TabularDoCConfig(value_gradient=True),
    "future-vae": TabularDoCConfig(method="future-vae"),
    "future-vae, value stopped": TabularDoCConfig(method="future-vae", value_gradient=False),
    "released-code": TabularDoCConfig(method="released-code"),
}
LIMIT = 30.0  # seconds that the sweep may take
DOCS = Path(__file__).parents[1] / "docs"

Row = dict[str, str | float]


def exact_bandit(p: float) -> OfflineDataset:
    """1000 pulls in exact proportions."""
    pulls = [(0, 1, p * (1 - p)), (0, 0, p * p), (1, 1, (1 - p) * p), (1, 0, (1 - p) ** 2)]
    arms = np.concatenate([np.full(round(1000 * share), arm) for arm, _, share in pulls])
    rewards = np.concatenate([np.full(round(1000 * share), paid) for _, paid, share in pulls]).astype(np.float32)
    count = len(arms)
    return OfflineDataset(
        np.zeros(2 * count, np.int64), arms, rewards, np.ones(count, bool), np.zeros(count, bool), np.arange(count + 1),
        spaces.Discrete(1), spaces.Discrete(2), Description(f"exact-bandit-{p}"),
    )  # fmt: skip


def problems(seeds: int) -> tuple[Outcomes, list[int], list[float]]:
    """The data of every p and seed, p by p."""
    one_each = [outcomes_of(exact_bandit(p), bins=2) for p in PS]
    data = [found for found in one_each for _ in range(seeds)]
    outcomes = Outcomes(*(torch.cat([getattr(found, name) for found in data]) for name in Outcomes._fields))
    return outcomes, list(range(seeds)) * len(PS), [p for p in PS for _ in range(seeds)]


def learned(way: str, seeds: int) -> list[Row]:
    """A row a problem."""
    outcomes, own, ps = problems(seeds)
    tables = learn_tables(outcomes, own, [WAYS[way]] * len(own), STEPS)
    returns, promises = judged(tables, torch.tensor(ps), WAYS[way].samples)
    information = tables.mutual_information(outcomes)
    found = zip(ps, own, returns.tolist(), promises.tolist(), information.clamp_min(0).tolist(), strict=True)
    return [_row(way, p, seed, *numbers) for p, seed, *numbers in found]


@torch.no_grad()
def judged(tables: LatentTables, p: torch.Tensor, samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Expected return and promise of each problem's policy, ``[G]`` each."""
    uniforms = torch.rand(len(p), samples, generator=torch.Generator().manual_seed(0))
    z = best_of(candidates(tables.prior[:, 0], uniforms), tables.values[:, 0])
    rows = torch.arange(len(p))
    pulled = tables.policy[rows, 0, z].softmax(-1)
    return pulled[:, 0] * (1 - p) + pulled[:, 1] * p, tables.values[rows, 0, z]


def cloned() -> list[Row]:
    """Return-conditioned cloning: one row a p."""
    rows = []
    for p in PS:
        agent = RCBC(dataset=exact_bandit(p), seed=0)
        pulled = agent.policy.distribution(torch.tensor([0]), agent.policy.target[None])[0].tolist()
        rows.append(_row("rcbc", p, "", pulled[0] * (1 - p) + pulled[1] * p, agent.policy.target.item(), ""))
    return rows


def _row(way: str, p: float, seed: int | str, returned: float, promised: float, information: float | str) -> Row:
    numbers = [value if isinstance(value, str) else round(value, 5) for value in (returned, promised, information)]
    return dict(zip(("method", "p", "seed", "return", "promise", "mutual_information"), (way, p, seed, *numbers),
                    strict=True))  # fmt: skip


def column(rows: list[Row], way: str, name: str, p: float | None = None) -> np.ndarray:
    return np.array([float(row[name]) for row in rows if row["method"] == way and p in (None, row["p"])])


def report(rows: list[Row], seeds: int) -> None:
    """Print what was learned, against cloning and against the constraint left out."""
    for p in PS:
        ours, peer = (column(rows, way, "return", p).mean() for way in ("doc", "rcbc"))
        line(f"return for p={p} (best {1 - p:.1f}), doc against rcbc, {seeds} seeds", ours, peer, "return", ours / peer)
    broken = {way: np.abs(column(rows, way, "promise") - column(rows, way, "return")).max() for way in WAYS}
    told = {way: column(rows, way, "mutual_information").max() for way in WAYS}
    for what, found, unit in (("|promise - return|", broken, "return"), ("MI(r; z | a)", told, "nats")):
        for way in list(WAYS)[1:]:
            line(
                f"greatest {what}, doc against {way}",
                found["doc"],
                found[way],
                unit,
                found[way] / max(found["doc"], 1e-9),
            )


def measure(seeds: int, rounds: int, alone: int) -> None:
    """Print the time of the sweep and of one problem at a time."""
    outcomes, own, _ = problems(seeds)
    settings = [WAYS["doc"]] * len(own)
    turns = []
    for _ in range(rounds):
        start = time.perf_counter()
        learn_tables(outcomes, own, settings, STEPS)
        between = time.perf_counter()
        for index in range(0, alone * seeds, seeds):
            one = Outcomes(*(part[index : index + 1] for part in outcomes))
            learn_tables(one, own[index : index + 1], settings[:1], STEPS)
        turns.append((between - start, (time.perf_counter() - between) * len(own) / alone))
    ours, peer = (statistics.median(seconds) for seconds in zip(*turns, strict=True))
    ratio = statistics.median(other / one for one, other in turns)
    case = f"doc tabular sweep, {len(PS)} p x {seeds} seeds, {STEPS} steps, against one problem at a time"
    line(case, ours, peer, "s", ratio, limit=LIMIT)


def line(case: str, ours: float, peer: float, unit: str, ratio: float, **more: float) -> None:
    found = {"case": case, "ours": float(f"{ours:.4g}"), "peer": float(f"{peer:.4g}"), "unit": unit,
             "ratio": float(f"{ratio:.4g}"), "threads": torch.get_num_threads(), **more}  # fmt: skip
    print(json.dumps(found), flush=True)


def write(rows: list[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def draw(rows: list[Row], path: Path) -> None:
    """Promised and achieved return over p: mean, and the range of the seeds."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    ways = [*WAYS, "rcbc"]
    for axis, name, title in zip(axes, ("promise", "return"), ("promised return", "achieved return"), strict=True):
        axis.plot(PS, [1 - p for p in PS], color="black", linestyle="--", linewidth=1, label="best arm, 1 - p")
        for number, way in enumerate(ways):
            found = [column(rows, way, name, p) for p in PS]
            places = np.array(PS) + 0.005 * (number - (len(ways) - 1) / 2)  # side by side where they are equal
            mean = np.array([values.mean() for values in found])
            reach = np.array([[values.mean() - values.min(), values.max() - values.mean()] for values in found]).T
            axis.errorbar(places, mean, np.clip(reach, 0, None), color=f"C{number}", marker="o", capsize=2, label=way)
        axis.set(xlabel="p", title=title, ylim=(0, 1.05))
        axis.grid(alpha=0.3)
    axes[0].legend(loc="lower left")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three seeds, one round; nothing is written")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    seeds = 3 if options.quick else 10
    measure(10, rounds=1 if options.quick else 3, alone=1 if options.quick else len(PS))
    rows = [row for way in WAYS for row in learned(way, seeds)] + cloned()
    report(rows, seeds)
    if not options.quick:
        write(rows, DOCS / "results" / "doc_bandit.csv")
        draw(rows, DOCS / "doc_bandit.png")


if __name__ == "__main__":
    main()
