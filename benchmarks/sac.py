"""Training speed of agentgym's SAC against Stable-Baselines3's (and SBX's) on HalfCheetah-v5.

The whole loop is timed: act, step the environment, store, sample, one update of batch 256 on 2 x 256 networks, all
defaults. The agents take turns of some steps in one process; the figure is the median turn.

    python benchmarks/sac.py                  # one and two threads, 11 rounds of 100 steps
    python benchmarks/sac.py --quick          # under a minute
    python benchmarks/sac.py --against sbx    # where sbx-rl is installed
    python benchmarks/sac.py --against compiled                  # benchmarks/peers/compiled_sac.py
    python benchmarks/sac.py --device cuda --cuda-graphs --threads 1
"""

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import stable_baselines3
import torch

from agentgym.agents.sac.sac import SAC

WARM_UP = 300  # steps with random actions before the first update
ENVIRONMENT = "HalfCheetah-v5"


def agents(against: str, device: str, graphs: bool) -> dict[str, Any]:
    """Ours and the peer, each past its warm-up, first updates and first allocations."""
    made = {}
    for name, cls, options in (
        ("ours", SAC, {"device": device, "cuda_graphs": graphs}),
        ("peer", peer_class(against), {} if against == "sbx" else {"device": device}),
    ):
        common = {"seed": 0, "learning_starts": WARM_UP, "buffer_size": 100_000}
        policy = () if against == "compiled" and name == "peer" else ("MlpPolicy",)
        made[name] = cls(*policy, ENVIRONMENT, **common, **options).learn(WARM_UP + 50, log_interval=None)
    return made


def peer_class(against: str) -> Callable[..., Any]:
    """The peer's class."""
    if against == "sb3":
        return stable_baselines3.SAC
    if against == "compiled":
        sys.path.insert(0, str(Path(__file__).parent / "peers"))
        return importlib.import_module("compiled_sac").CompiledSAC  # type: ignore[no-any-return]
    try:
        return importlib.import_module("sbx").SAC  # type: ignore[no-any-return]
    except ImportError as error:
        raise SystemExit(f'SBX does not import ({error}). Install it with:  pip install "sbx-rl"') from None


def steps_per_second(agent: Any, steps: int) -> float:
    """Environment steps a second over one turn; on one CPU thread of the process's own time, whatever else runs."""
    on_gpu = str(agent.device).startswith("cuda")
    clock = time.process_time if torch.get_num_threads() == 1 and not on_gpu else time.perf_counter
    start = clock()
    agent.learn(steps, log_interval=None, reset_num_timesteps=False)
    if on_gpu:
        torch.cuda.synchronize()
    return steps / (clock() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds of 40 steps")
    parser.add_argument("--against", choices=["sb3", "sbx", "compiled"], default="sb3")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, of both")
    parser.add_argument("--cuda-graphs", action="store_true", help="ours replays its update as a CUDA graph")
    parser.add_argument("--steps", type=int, default=100, help="of a turn")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    rounds, steps = (3, 40) if options.quick else (11, options.steps)

    trained = agents(options.against, options.device, options.cuda_graphs)
    how = ("" if options.device == "cpu" else f", {options.device}") + (", CUDA graphs" if options.cuda_graphs else "")
    for threads in options.threads:
        torch.set_num_threads(threads)
        speeds: dict[str, list[float]] = {name: [] for name in trained}
        for agent in trained.values():
            steps_per_second(agent, steps // 4)  # the first turn with this many threads
        for _ in range(rounds):
            for name, agent in trained.items():
                speeds[name].append(steps_per_second(agent, steps))
        ratios = [ours / peer for ours, peer in zip(speeds["ours"], speeds["peer"], strict=True)]
        result = {
            "case": f"SAC on {ENVIRONMENT}, whole loop{how}, against {options.against}",
            "ours": round(statistics.median(speeds["ours"]), 1),
            "peer": round(statistics.median(speeds["peer"]), 1),
            "unit": "environment steps/s",
            "ratio": round(statistics.median(ratios), 3),
            "threads": threads,
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
