"""Steps per second of 16 robust worlds: the batched door against Gymnasium's SyncVectorEnv of the same environment.

Both sides get the same seeds, parameters and actions (and return the same numbers, which tests check). Rounds are
interleaved in one process; the median counts. "threads" says how many step our worlds (the peer has one).

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
THREADS = (1, 2)
TASKS = ("InvertedPendulum", "HalfCheetah", "Hopper", "Walker2d", "Ant", "HumanoidStandup")


def steps_per_second(env: gymnasium.vector.VectorEnv, actions: np.ndarray) -> float:
    env.reset(seed=0)
    start = time.perf_counter()
    for action in actions:
        env.step(action)
    return len(actions) * WORLDS / (time.perf_counter() - start)


def compare(task: str, rounds: int, steps: int) -> list[dict[str, object]]:
    name = f"agentgym/Robust{task}-v0"
    arguments = {"num_envs": WORLDS, "randomize": "uniform"}
    sides = [gymnasium.make_vec(name, threads=threads, **arguments) for threads in THREADS]
    sides.append(gymnasium.make_vec(name, vectorization_mode="sync", **arguments))
    space = sides[0].action_space
    actions = np.random.default_rng(0).uniform(space.low, space.high, (steps, *space.shape)).astype(np.float32)
    speeds = [[steps_per_second(side, actions) for side in sides] for _ in range(rounds)]
    *ours, peer = (statistics.median(side) for side in zip(*speeds, strict=True))
    for side in sides:
        side.close()
    return [
        {
            "case": f"{task}, {WORLDS} worlds",
            "ours": mine,
            "peer": peer,
            "unit": "steps/s",
            "ratio": mine / peer,
            "threads": threads,
        }
        for threads, mine in zip(THREADS, ours, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and steps")
    quick = parser.parse_args().quick
    for task in TASKS:
        for line in compare(task, rounds=5 if quick else 11, steps=40 if quick else 200):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
