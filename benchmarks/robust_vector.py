"""What the native batch of 16 robust worlds brings: to stepping, to PPO's training, to the evaluation of a grid.

Stepping has Gymnasium's SyncVectorEnv of the same environment as its peer, training and evaluation a loop over single
environments. Both sides get the same seeds, parameters and actions and return the same numbers, bit for bit, which
tests check. Rounds are interleaved in one process; the median counts. "threads" says how many step our worlds (the peer
has one). Training counts all of PPO's work, and seconds are of the processor.

    python benchmarks/robust_vector.py [--quick]
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

import agentgym  # noqa: F401
from agentgym import catalog
from agentgym.evaluation.conditions import Condition
from agentgym.evaluation.rollout import Job, play_episodes
from agentgym.evaluation.table import Scene
from agentgym.make import make_env
from agentgym.runs.build import training_environments
from agentgym.runs.run import RunConfig
from agentgym.wrappers.replay import RecordedEnv

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


HOPPER = "agentgym/RobustHopper-v0"


def ppo(batch: bool, steps: int, seed: int = 0) -> Any:
    """PPO in 16 worlds of RobustHopper, not yet trained."""
    config = RunConfig("ppo", HOPPER, {"randomize": "uniform"}, num_envs=WORLDS, steps=steps, seed=seed)
    single = replace(config, num_envs=1)

    def maker(index: int) -> Callable[[], RecordedEnv]:
        return lambda: RecordedEnv(make_env(single.env, single.env_kwargs), seed, index)

    env = training_environments(config) if batch else VecMonitor(DummyVecEnv([maker(i) for i in range(WORLDS)]))
    return catalog.load(catalog.find("agent", "ppo"))("MlpPolicy", env, n_steps=128, seed=seed, device="cpu")


def seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def interleaved(case: str, ours: Callable[[], Any], peer: Callable[[], Any], rounds: int) -> dict[str, object]:
    pairs = [(seconds(ours), seconds(peer)) for _ in range(rounds)]
    mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(other / one for one, other in pairs)
    return {"case": case, "ours": mine, "peer": theirs, "unit": "CPU s", "ratio": ratio, "threads": 1}


def training(rounds: int, steps: int) -> dict[str, object]:
    def learn(batch: bool) -> None:
        ppo(batch, steps).learn(steps)

    return interleaved(f"PPO, Hopper, {WORLDS} worlds", lambda: learn(True), lambda: learn(False), rounds)


def evaluation(rounds: int, points: int, episodes: int) -> dict[str, object]:
    """A grid over the masses; the policy is one that PPO has just begun to train, so episodes are short."""
    agent = ppo(True, 8192)
    agent.learn(8192)
    axes = (np.linspace(0.1, 3.0, points), np.linspace(0.1, 4.0, points))
    jobs = []
    for torso, thigh in itertools.product(*(axis.tolist() for axis in axes)):
        options = {"parameters": {"torso_mass": torso, "thigh_mass": thigh}}
        condition = Condition(f"{torso:.3g}, {thigh:.3g}", Scene("", "", "grid", {}), HOPPER, {}, options)
        jobs += [Job(condition, episode, episode) for episode in range(episodes)]

    def play(together: bool) -> None:
        for first in range(0, len(jobs), 64):  # as evaluate() cuts them
            list(play_episodes(agent, "ppo", jobs[first : first + 64], together=together))

    case = f"grid {points} x {points}, {episodes} episodes, Hopper"
    return interleaved(case, lambda: play(True), lambda: play(False), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and steps")
    quick = parser.parse_args().quick
    for task in TASKS:
        for line in compare(task, rounds=5 if quick else 11, steps=40 if quick else 200):
            print(json.dumps(line), flush=True)
    torch.set_num_threads(1)
    print(json.dumps(training(rounds=2 if quick else 7, steps=4096 if quick else 32768)), flush=True)
    print(json.dumps(evaluation(2 if quick else 7, points=4 if quick else 10, episodes=2)), flush=True)


if __name__ == "__main__":
    main()
