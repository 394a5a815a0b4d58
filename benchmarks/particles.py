"""What a step of Simple Spread costs, batched and in mpe2's own environment.

    python benchmarks/particles.py            # three and five agents, both kinds of actions
    python benchmarks/particles.py --quick    # three agents, discrete actions

Ours steps 1,024 worlds, resets included; mpe2 its parallel environment, one world. One thread, interleaved, CPU time,
median of the rounds, steps of worlds per second. Prints a JSON line a case; ``ratio`` above 1 is in our favour.
"""

import argparse
import json
import statistics
import time

import numpy as np

from agentgym.envs.particles.original import mpe2_parallel_env
from agentgym.envs.particles.spread import SimpleSpreadVectorEnv

WORLDS = 1024
EPISODES = 4  # of ours, 25 steps each, in a round; mpe2 plays as many


def ours(env: SimpleSpreadVectorEnv, actions: np.ndarray) -> float:
    start = time.process_time()
    for _ in range(26 * EPISODES):  # the 26th step of an episode resets
        env.step(actions)
    return 25 * EPISODES * WORLDS / (time.process_time() - start)


def theirs(env: object, names: list[str], actions: np.ndarray) -> float:
    start = time.process_time()
    for _ in range(EPISODES):
        env.reset()  # type: ignore[attr-defined]
        for _ in range(25):
            env.step(dict(zip(names, actions, strict=True)))  # type: ignore[attr-defined]
    return 25 * EPISODES / (time.process_time() - start)


def case(agents: int, continuous: bool, rounds: int) -> dict[str, object]:
    batch = SimpleSpreadVectorEnv(WORLDS, agents, continuous_actions=continuous)
    single = mpe2_parallel_env("simple_spread_v3", N=agents, continuous_actions=continuous)
    batch.reset(seed=0)
    single.reset(seed=0)
    batch.action_space.seed(0)
    actions = batch.action_space.sample()
    ours(batch, actions)  # compiles
    pairs = [(ours(batch, actions), theirs(single, single.possible_agents, actions[0])) for _ in range(rounds)]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    kind = "box" if continuous else "discrete"
    return {
        "case": f"simple spread, {agents} agents, {kind}, {WORLDS} worlds", "ours": round(mine), "peer": round(other),
        "unit": "steps of worlds / CPU s", "ratio": round(mine / other), "threads": 1,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one case, three rounds")
    quick = parser.parse_args().quick
    for agents, continuous in [(3, False)] if quick else [(3, False), (3, True), (5, False), (5, True)]:
        print(json.dumps(case(agents, continuous, 3 if quick else 7)), flush=True)
