"""What it costs to watch a team, against what it costs to let it act.

    python benchmarks/forensics.py            # all detectors
    python benchmarks/forensics.py --quick    # the product's three, three rounds

Both are of 64 episodes of Simple Spread with three agents, 25 steps each: acting is 25 calls of the trained networks
on 64 worlds, without the environment; watching is a detector's scores of the recorded episodes. One thread,
interleaved, CPU time, median of the rounds, microseconds a step of a world. Prints a JSON line a case; ``ratio`` is
acting over watching, so 0.5 says that watching costs twice as much as acting.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from agentgym.agents import MADDPG
from agentgym.envs.particles.spread import SimpleSpreadEnv
from agentgym.evaluation.forensics.collect import collect, make_worlds
from agentgym.evaluation.forensics.detectors.by_name import DETECTORS, make_detector
from agentgym.evaluation.forensics.detectors.dynamics import Dynamics
from agentgym.evaluation.forensics.team import LearnedTeam

ENV, EPISODES, STEPS = "agentgym/SimpleSpread-v0", 64, 25
PRODUCT = ("policy_gap", "dynamics", "combined")


def cost(work: Callable[[], object]) -> float:
    """CPU microseconds a step of a world."""
    start = time.process_time()
    work()
    return 1e6 * (time.process_time() - start) / (EPISODES * STEPS)


def case(name: str, team: LearnedTeam, rounds: int) -> dict[str, object]:
    clean = collect(team, ENV, range(200))
    episodes = collect(team, ENV, range(1000, 1000 + EPISODES))
    detector = make_detector(name, team, make_worlds(ENV, None, 1).contact_inputs)  # type: ignore[attr-defined]
    for part in getattr(detector, "members", [detector]):
        if isinstance(part, Dynamics):
            part.steps = 20  # how good the model is does not change what it costs
    detector.fit(clean)
    windows = torch.as_tensor(episodes.received)

    def acting() -> None:
        for t in range(STEPS):
            team.act(windows[:, t])

    pairs = [(cost(lambda: detector.score(episodes)), cost(acting)) for _ in range(rounds)]
    watching, acted = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "case": f"watching by {name}", "ours": round(watching, 2), "peer": round(acted, 2),
        "unit": "CPU us / step of a world", "ratio": round(acted / watching, 2), "threads": 1,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three detectors, three rounds")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    learned = LearnedTeam(MADDPG(env=SimpleSpreadEnv(), seed=0, buffer_size=100))
    for each in PRODUCT if quick else DETECTORS:
        print(json.dumps(case(each, learned, 3 if quick else 9)), flush=True)
