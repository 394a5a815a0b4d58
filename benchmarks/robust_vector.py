"""Steps per second of 16 robust worlds: the batched door against Gymnasium's SyncVectorEnv of the same environment.

Both sides get the same seeds, parameters and actions (and return the same numbers, which tests check). Rounds are
interleaved in one process; the median counts. The first number in a case is how many threads step our worlds.

    python benchmarks/robust_vector.py [--quick]
"""

import argparse
import json
import statistics
import time

import gymnasium
import numpy as np

import agentgym  # noqa: F401

WORLDS = 16
TASKS = ("InvertedPendulum", "HalfCheetah", "Hopper", "Walker2d", "Ant", "HumanoidStandup")


def steps_per_second(env: gymnasium.vector.VectorEnv, actions: np.ndarray) -> float:
    env.reset(seed=0)
    start = time.perf_counter()
    for action in actions:
        env.step(action)
    return len(actions) * WORLDS / (time.perf_counter() - start)


def compare(task: str, threads: int, rounds: int, steps: int) -> dict[str, object]:
    name = f"agentgym/Robust{task}-v0"
    ours = gymnasium.make_vec(name, num_envs=WORLDS, randomize="uniform", threads=threads)
    peer = gymnasium.make_vec(name, num_envs=WORLDS, randomize="uniform", vectorization_mode="sync")
    space = ours.action_space
    actions = np.random.default_rng(0).uniform(space.low, space.high, (steps, *space.shape)).astype(np.float32)
    speeds = [(steps_per_second(ours, actions), steps_per_second(peer, actions)) for _ in range(rounds)]
    mine, theirs = (statistics.median(side) for side in zip(*speeds, strict=True))
    ours.close()
    peer.close()
    case = f"{task}, {WORLDS} worlds, {threads} thread{'s' * (threads > 1)}"
    return {
        "case": case,
        "ours": mine,
        "peer": theirs,
        "unit": "steps/s",
        "ratio": mine / theirs,
        "threads": threads,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and steps")
    quick = parser.parse_args().quick
    for task in TASKS:
        for threads in (1, 2):
            print(json.dumps(compare(task, threads, rounds=3 if quick else 9, steps=40 if quick else 200)))


if __name__ == "__main__":
    main()
