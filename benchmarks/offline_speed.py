"""What a gradient step of an offline agent costs: each against behaviour cloning (`bc`), the cheapest.

The agents learn in turns in one process, without evaluation, from random data of Hopper's sizes (11 observed numbers,
3 of action). A speed counts as the median turn's; a ratio of 0.2 is a step that costs five of `bc`'s.

    python benchmarks/offline_speed.py            # one and two threads
    python benchmarks/offline_speed.py --quick    # under a minute
"""

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from agentgym import catalog
from agentgym.data.dataset import Description, OfflineDataset

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "iql": ("iql", {}),
    "odice": ("odice", {}),
    "odice, policy 2 x 256": ("odice", {"policy_layers": (256, 256)}),
    "odice, policy 2 x 256, batch 128": ("odice", {"policy_layers": (256, 256), "batch_size": 128}),
    "odice, policy 2 x 256, true gradient": ("odice", {"policy_layers": (256, 256), "gradient": "true"}),
    "odice, policy 2 x 256, semi-gradient": ("odice", {"policy_layers": (256, 256), "gradient": "semi"}),
}


def random_data(episodes: int = 50, length: int = 1000) -> OfflineDataset:
    """Numbers of the sizes that Hopper's have."""
    rng, steps = np.random.default_rng(0), episodes * length
    truncations = np.zeros(steps, bool)
    truncations[length - 1 :: length] = True
    return OfflineDataset(
        rng.normal(size=(steps + episodes, 11)).astype(np.float32),
        rng.uniform(-1, 1, (steps, 3)).astype(np.float32), rng.normal(size=steps).astype(np.float32),
        np.zeros(steps, bool), truncations, np.arange(0, steps + 1, length),
        spaces.Box(-np.inf, np.inf, (11,), np.float32), spaces.Box(-1, 1, (3,), np.float32),
        Description("agentgym/random/sizes-v0"),
    )  # fmt: skip


def make(name: str, data: OfflineDataset, settings: dict[str, Any]) -> Any:
    """An agent of the catalog that has made its first steps."""
    agent = catalog.load(catalog.find("agent", name))(dataset=data, seed=0, device="cpu", **settings)
    return agent.learn(5)


def steps_per_second(agent: Any, steps: int) -> float:
    """Gradient steps a second over one turn."""
    start = time.perf_counter()
    agent.learn(steps, reset_num_timesteps=False)
    return steps / (time.perf_counter() - start)


def compare(threads: int, rounds: int, steps: int) -> None:
    """Print one result a case."""
    torch.set_num_threads(threads)
    data = random_data()
    agents = {case: make(name, data, settings) for case, (name, settings) in CASES.items()}
    speeds: dict[str, list[float]] = {case: [] for case in agents}
    ratios: dict[str, list[float]] = {case: [] for case in agents}
    peer, peers = make("bc", data, {}), []
    for _ in range(rounds):
        for case, agent in agents.items():
            peers.append(steps_per_second(peer, steps))  # right before: the machine's load drifts
            speeds[case].append(steps_per_second(agent, steps))
            ratios[case].append(speeds[case][-1] / peers[-1])
    for case in agents:
        result = {
            "case": f"{case} against bc, Hopper's sizes",
            "ours": round(statistics.median(speeds[case]), 1),
            "peer": round(statistics.median(peers), 1),
            "unit": "gradient steps/s",
            "ratio": round(statistics.median(ratios[case]), 3),
            "threads": threads,
        }
        print(json.dumps(result), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one thread, few short turns")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    for threads in [1] if arguments.quick else arguments.threads:
        compare(threads, rounds=3 if arguments.quick else 11, steps=20 if arguments.quick else 50)


if __name__ == "__main__":
    main()
