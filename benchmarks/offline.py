"""Offline agents: PRDC's update and its neighbour search, and how fast a dataset is there.

- update: PRDC against our TD3+BC, whole updates of batch 256, alternating in one process; once with an untrained
  policy, once with one cloned from the data and kept near them by alpha = 0, which leaves out no work. A ratio of 0.8
  is a cost of 1.25 updates of TD3+BC.
- paths: updates of batch 256 of TD3+BC, PRDC, IQL and BC on stacks, against the same agent with update_by="autograd".
- search: 256 exact queries, from the logged actions with noise of deviation 0.1 (near), 0.3 (mid), or uniform actions
  (far). Peers: scipy's tree as PRDC's released code builds and asks it; a scan of all rows, torch, in chunks. Ours
  twice: the tree alone, and with the lists that rows get that are asked for often. Answers of the trees are compared.
- load: from the dataset's name to all transitions in memory, against Minari's own episodes read end to end.
- doc: the tabular sweep of Dichotomy of Control, five p and ten seeds; what it learns is in doc_bandit.py.

Data: a million rows of 17 state and 6 action entries, from 12 gaits of 7 hidden numbers each with noise; or a dataset
of one's own. Times on one thread are the process's own, so that what else runs does not count; on several, and of
loading, the wall clock's.

    python benchmarks/offline.py                          # one and two threads, some twenty minutes
    python benchmarks/offline.py --quick                  # 100,000 rows, one thread, under a minute
    python benchmarks/offline.py --dataset NAME --cases update search
    python benchmarks/offline.py --cases search --device cuda        # the scan on a GPU; the trees stay on the CPU
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import doc_bandit
import numpy as np
import torch
from gymnasium import spaces
from scipy.spatial import KDTree

from agentgym.agents.offline.bc.bc import BC
from agentgym.agents.offline.iql.iql import IQL
from agentgym.agents.offline.prdc.prdc import PRDC
from agentgym.agents.offline.prdc.search import NearestPairs
from agentgym.agents.offline.td3bc.td3bc import TD3BC
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.data.storage import load_dataset, minari_dataset, save_dataset

BATCH = 256
BETA = 2.0
EPISODE = 1_000  # steps of a synthetic episode


def gaits(rows: int, seed: int = 0) -> OfflineDataset:
    """The synthetic data: states and actions that depend on few hidden numbers, and noise on both."""
    rng = np.random.default_rng(seed)
    states, actions = np.empty((rows, 17), np.float32), np.empty((rows, 6), np.float32)
    gait = rng.integers(12, size=rows)
    for g in range(12):
        own = np.flatnonzero(gait == g)
        hidden = rng.normal(size=(len(own), 7))

        def image(hidden: np.ndarray, width: int) -> np.ndarray:
            inner, outer = rng.normal(size=(7, 32)) / 7**0.5, rng.normal(size=(32, width)) / 32**0.5
            return np.tanh(hidden @ inner) @ outer

        states[own] = 1.5 * image(hidden, 17) + rng.normal(size=17) + 0.02 * rng.normal(size=(len(own), 17))
        actions[own] = (np.tanh(1.5 * image(hidden, 6)) + 0.1 * rng.normal(size=(len(own), 6))).clip(-1, 1)
    starts = np.append(np.arange(0, rows, EPISODE), rows)
    ends = np.zeros(rows, bool)
    ends[starts[1:] - 1] = True
    observations = np.insert(states, starts[1:], states[starts[1:] - 1], axis=0)  # each episode's last, once more
    return OfflineDataset(
        observations, actions, rng.normal(size=rows).astype(np.float32), np.zeros(rows, bool), ends, starts,
        spaces.Box(-np.inf, np.inf, (17,), np.float32), spaces.Box(-1, 1, (6,), np.float32),
        Description("agentgym/gaits/benchmark-v0"),
    )  # fmt: skip


def timed(action: Callable[[], Any], clock: Callable[[], float] | None = None) -> float:
    """Milliseconds that it takes; by default the process's own on one thread, the wall clock's on several."""
    clock = clock or (time.process_time if torch.get_num_threads() == 1 else time.perf_counter)
    start = clock()
    action()
    return 1e3 * (clock() - start)


def report(case: str, turns: list[tuple[float, float]], unit: str) -> None:
    """Print one result from the times of ours and of the peer in each round."""
    ours, peer = (statistics.median(times) for times in zip(*turns, strict=True))
    ratio = statistics.median(other / own for own, other in turns)
    print(
        json.dumps(
            {
                "case": case,
                "ours": round(ours, 3),
                "peer": round(peer, 3),
                "unit": unit,
                "ratio": round(ratio, 3),
                "threads": torch.get_num_threads(),
            }
        ),
        flush=True,
    )


def update(dataset: OfflineDataset, quick: bool, threads: list[int]) -> None:
    """PRDC against TD3+BC, the networks of both the same at the beginning."""
    options: dict[str, Any] = {"dataset": dataset, "seed": 0, "device": "cpu"}
    steps, rounds = (10, 5) if quick else (20, 31)
    for phase in ("far", "near"):
        agents = {"ours": PRDC(beta=BETA, **options), "peer": TD3BC(**options)}
        if phase == "near":
            clone = BC(**options, learning_rate=1e-3).learn(1_000 if quick else 6_000)
            for agent in agents.values():
                agent.actor.network.load_state_dict(clone.actor.network.state_dict())
                agent.settings.alpha = 0.0
        for count in threads:
            torch.set_num_threads(count)
            turns = []
            for _ in range(rounds + 1):  # the first is a warm-up
                own, peer = (timed(partial(agent.learn, steps)) / steps for agent in agents.values())
                turns.append((own, peer))
            found = agents["ours"].pairs.nearest(*_policy_queries(agents["ours"]))
            about = f"mean distance {found.distances.mean():.2f}, own row {found.own.mean():.0%}"
            report(f"update of PRDC against TD3+BC, policy {phase} ({about})", turns[1:], "ms/update")


def paths(dataset: OfflineDataset, quick: bool, threads: list[int]) -> None:
    """Each agent on stacks against itself by autograd."""
    steps, rounds = (6, 5) if quick else (20, 21)
    for kind in (TD3BC, PRDC, IQL, BC):
        ours, peer = (kind(dataset=dataset, seed=0, device="cpu", update_by=by) for by in ("stack", "autograd"))
        for count in threads:
            torch.set_num_threads(count)
            turns = [
                tuple(timed(partial(agent.learn, steps)) / steps for agent in (ours, peer)) for _ in range(rounds + 1)
            ]
            report(f"update of {kind.catalog_name} on stacks against autograd", turns[1:], "ms/update")


def _policy_queries(agent: Any) -> tuple[np.ndarray, np.ndarray]:
    at = np.random.default_rng(0).integers(len(agent.states), size=BATCH)
    with torch.no_grad():
        return at, agent.actor.of_states(agent.states[at]).numpy()


def search(dataset: OfflineDataset, quick: bool, threads: list[int], device: str = "cpu") -> None:
    """256 exact queries by each way."""
    where, clock = ("", None) if device == "cpu" else (f" on {device}", time.perf_counter)
    agent = TD3BC(dataset=dataset, seed=0, device="cpu")  # normalises
    states, actions = agent.states.numpy(), agent.actions.numpy()
    ours = {name: NearestPairs(states, actions, BETA, candidates=k) for name, k in (("tree", 0), ("lists", 32))}
    scipy_tree, keys = KDTree(ours["tree"].tree.keys), torch.from_numpy(ours["tree"].tree.keys).to(device)
    rng = np.random.default_rng(1)
    for count in threads:
        torch.set_num_threads(count)
        for phase in ("near", "mid", "far"):
            at = rng.integers(len(states), size=BATCH)
            noise = rng.normal(0, {"near": 0.1, "mid": 0.3, "far": 0}[phase], size=(BATCH, actions.shape[1]))
            asked = rng.uniform(-1, 1, size=noise.shape) if phase == "far" else actions[at] + noise
            asked = asked.clip(-1, 1).astype(np.float32)
            queries = np.concatenate([ours["tree"].tree.keys[at, : states.shape[1]], asked], 1)
            ours["lists"].lists.rent[at] = np.inf  # type: ignore[union-attr]
            certified = float(ours["lists"].nearest(at, asked).certified.mean())
            _same_answers(ours, at, asked, scipy_tree, queries)
            peers = {
                "scipy's tree": (partial(scipy_tree.query, queries, workers=count), 3 if quick else 11),
                f"a scan{where}": (partial(_scan, keys, torch.from_numpy(queries)), 1 if quick else 3),
            }
            for name, pairs in ours.items():
                about = f"our {name}" + (f" ({certified:.0%} certified)" if name == "lists" else "")
                for peer, (ask, rounds) in peers.items():
                    turns = [
                        (timed(partial(pairs.nearest, at, asked), clock), timed(ask, clock)) for _ in range(rounds)
                    ]
                    report(f"search {phase}, {about} against {peer}", turns, f"ms/{BATCH} queries")


def _same_answers(
    ours: dict[str, NearestPairs], at: np.ndarray, asked: np.ndarray, scipy_tree: KDTree, queries: np.ndarray
) -> None:
    distances = scipy_tree.query(queries)[0]
    for pairs in ours.values():
        np.testing.assert_allclose(pairs.nearest(at, asked).distances[:, 0], distances, rtol=1e-12)


def _scan(keys: torch.Tensor, queries: torch.Tensor, chunk: int = 65_536) -> torch.Tensor:
    """Rows of the nearest keys, by matrix products: |k|^2 - 2 k q."""
    queries = queries.to(keys.device)
    best = torch.full((len(queries),), torch.inf, device=keys.device)
    rows = torch.zeros(len(queries), dtype=torch.long, device=keys.device)
    for first in range(0, len(keys), chunk):
        part = keys[first : first + chunk]
        squares, found = torch.addmm((part * part).sum(1)[:, None], part, queries.T, alpha=-2).min(0)
        rows = torch.where(squares < best, found + first, rows)
        best = torch.minimum(best, squares)
    return rows.cpu()  # the answer is needed here, as the tree's is


def load(dataset: OfflineDataset, quick: bool, threads: list[int]) -> None:
    """From a name to transitions, against Minari's episodes."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINARI_DATASETS_PATH"] = folder
        name = dataset.description.name
        save_dataset(dataset)

        def ours() -> Any:
            return load_dataset(name).transitions()

        def minari_episodes() -> np.ndarray:
            return np.concatenate([episode.observations for episode in minari_dataset(name).iterate_episodes()])

        turns = [
            (timed(ours, time.perf_counter) / 1e3, timed(minari_episodes, time.perf_counter) / 1e3)
            for _ in range(2 if quick else 3)
        ]
    torch.set_num_threads(threads[0])
    report(f"load {len(dataset)} steps into transitions, against Minari's episodes", turns, "s")


def doc(dataset: OfflineDataset, quick: bool, threads: list[int]) -> None:
    """DoC's sweep as one tensor, against one problem at a time."""
    torch.set_num_threads(threads[0])
    doc_bandit.measure(10, rounds=1 if quick else 3, alone=1)


CASES: dict[str, Callable[[OfflineDataset, bool, list[int]], None]] = {
    "update": update,
    "paths": paths,
    "search": search,
    "load": load,
    "doc": doc,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100,000 rows, few rounds, one thread")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the synthetic data")
    parser.add_argument("--dataset", default="", help="a dataset on this machine, for update and search")
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--device", default="cpu", help="of the scan in search; the other cases are on the CPU")
    options = parser.parse_args()
    if options.device != "cpu":
        CASES["search"] = partial(search, device=options.device)
    synthetic = gaits(100_000 if options.quick else options.rows)
    dataset = load_dataset(options.dataset) if options.dataset else synthetic
    for name in options.cases:
        CASES[name](synthetic if name == "load" else dataset, options.quick, [1] if options.quick else options.threads)


if __name__ == "__main__":
    main()
