"""What perturbations and robust environments add to a step: ours against Gymnasium's own.

Perturbations: the environment under them does nothing, and its time is subtracted on both sides, so that the time of
the wrappers remains. The effects are observation noise, observation delay, action noise (clipped) and sticky actions.
Gymnasium has no batched delay or sticky action: for a whole stack its side wraps each world and batches them; for noise
alone it has a batched form. Its side does less: noise comes from one generator for all worlds, nothing says what fired,
no action is checked.

Robust environments: a whole step at nominal parameters, against that of the v5 task of Gymnasium. Resets are not timed.

Sides take turns of a few hundred steps in one process; the ratio is the median over rounds, of processor time.

    python benchmarks/perturbations.py [--quick]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces, wrappers
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import vector as vector_wrappers

import agentgym  # noqa: F401 (registers the robust environments)
from agentgym.envs.perturb import ActionNoise, ObservationDelay, ObservationNoise, StickyAction, perturb

WORLDS = 16
OBSERVATIONS = spaces.Box(-np.inf, np.inf, (4,), np.float64)
ACTIONS = spaces.Box(-3.0, 3.0, (1,), np.float32)
STACK = (ObservationNoise(0.1), ObservationDelay(2), ActionNoise(0.1), StickyAction(0.25))


class Idle(gymnasium.Env):
    """InvertedPendulum's spaces and nothing else."""

    observation_space, action_space = OBSERVATIONS, ACTIONS

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Nothing happens."""
        super().reset(seed=seed)
        return np.zeros(4), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Nothing happens."""
        return np.zeros(4), 1.0, False, False, {}


class IdleBatch(VectorEnv):
    """The same, natively batched."""

    num_envs = WORLDS
    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012
    single_observation_space, single_action_space = OBSERVATIONS, ACTIONS
    observation_space, action_space = batch_space(OBSERVATIONS, WORLDS), batch_space(ACTIONS, WORLDS)

    def reset(self, *, seed: Any = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Nothing happens."""
        return np.zeros((WORLDS, 4)), {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """Nothing happens."""
        over = np.zeros(WORLDS, bool)
        return np.zeros((WORLDS, 4)), np.ones(WORLDS), over, over.copy(), {}


def gymnasium_noise(env: gymnasium.Env) -> gymnasium.Env:
    random = np.random.default_rng(0)
    return wrappers.TransformObservation(env, lambda seen: seen + 0.1 * random.standard_normal(4), OBSERVATIONS)


def gymnasium_stack(env: gymnasium.Env) -> gymnasium.Env:
    random = np.random.default_rng(0)

    def noisy(action: np.ndarray) -> np.ndarray:
        return np.clip(action + 0.1 * random.standard_normal(1), -3.0, 3.0).astype(np.float32)

    delayed = wrappers.DelayObservation(gymnasium_noise(env), 2)
    return wrappers.StickyAction(wrappers.TransformAction(delayed, noisy, ACTIONS), 0.25)


def gymnasium_batch_noise(env: VectorEnv) -> VectorEnv:
    random = np.random.default_rng(0)

    def noisy(seen: np.ndarray) -> np.ndarray:
        return seen + 0.1 * random.standard_normal(seen.shape)

    return vector_wrappers.TransformObservation(env, noisy, batch_space(OBSERVATIONS, WORLDS), OBSERVATIONS)


CASES: dict[str, tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]] = {
    "noise, single": (Idle, lambda: perturb(Idle(), STACK[0]), lambda: gymnasium_noise(Idle())),
    "stack of 4, single": (Idle, lambda: perturb(Idle(), *STACK), lambda: gymnasium_stack(Idle())),
    "noise, 16 worlds": (
        IdleBatch,
        lambda: perturb(IdleBatch(), STACK[0]),
        lambda: gymnasium_batch_noise(IdleBatch()),
    ),
    "stack of 4, 16 worlds": (
        lambda: SyncVectorEnv([Idle] * WORLDS),
        lambda: perturb(SyncVectorEnv([Idle] * WORLDS), *STACK),
        lambda: SyncVectorEnv([lambda: gymnasium_stack(Idle())] * WORLDS),
    ),
}


TASKS = ("HalfCheetah", "Hopper", "Walker2d", "Ant", "HumanoidStandup", "InvertedPendulum")
STEPS = 250  # of one side before the other's turn


def microseconds_a_step(env: Any, actions: list[np.ndarray]) -> float:
    """Processor time of a step; episodes that end are started again while the clock stands."""
    spent, begun = 0.0, time.process_time()
    for action in actions:
        over = env.step(action)
        if np.any(over[2]) or np.any(over[3]):
            spent += time.process_time() - begun
            env.reset()
            begun = time.process_time()
    return (spent + time.process_time() - begun) / len(actions) * 1e6


def rounds_of(envs: list[Any], rounds: int) -> list[list[float]]:
    """The time of a step of each environment in each round."""
    envs[0].action_space.seed(0)
    actions = [envs[0].action_space.sample() for _ in range(STEPS)]
    times = []
    for number in range(rounds + 1):
        for env in envs:
            env.reset(seed=number)
        times.append([microseconds_a_step(env, actions) for env in envs])
    return times[1:]  # the first warms up


def compare_wrappers(case: str, rounds: int) -> dict[str, Any]:
    times = rounds_of([make() for make in CASES[case]], rounds)
    ours = statistics.median(perturbed - bare for bare, perturbed, _ in times)
    peer = statistics.median(wrapped - bare for bare, _, wrapped in times)
    ratio = statistics.median((wrapped - bare) / (perturbed - bare) for bare, perturbed, wrapped in times)
    return {"case": case, "ours": ours, "peer": peer, "unit": "us added to a step", "ratio": ratio, "threads": 1}


def compare_robust(task: str, rounds: int) -> dict[str, Any]:
    times = rounds_of([gymnasium.make(f"{task}-v5"), gymnasium.make(f"agentgym/Robust{task}-v0")], rounds)
    peer, ours = (statistics.median(side) for side in zip(*times, strict=True))
    ratio = statistics.median(plain / robust for plain, robust in times)
    case = f"Robust{task} at nominal parameters"
    return {"case": case, "ours": ours, "peer": peer, "unit": "us a step", "ratio": ratio, "threads": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 15 if parser.parse_args().quick else 100
    for case in CASES:
        print(json.dumps(compare_wrappers(case, rounds)), flush=True)
    for task in TASKS:
        print(json.dumps(compare_robust(task, rounds)), flush=True)


if __name__ == "__main__":
    main()
