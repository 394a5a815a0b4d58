"""What perturbations add to a step: ours against the same effects made of Gymnasium's own wrappers.

The environment under them does nothing, so that the time is the wrappers' alone; the bare environment's time is
subtracted on both sides. The effects are observation noise, observation delay, action noise (clipped) and sticky
actions. Gymnasium has no batched delay or sticky action: for a whole stack its side wraps each world and batches them;
for noise alone it has a batched form. Its side does less: noise comes from one generator for all worlds, nothing says
what fired, no action is checked. Rounds are interleaved in one process; the median counts.

    python benchmarks/perturb.py [--quick]
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


def microseconds_a_step(env: Any, steps: int) -> float:
    action = np.zeros(env.action_space.shape, np.float32)
    env.reset(seed=0)
    start = time.perf_counter()
    for _ in range(steps):
        env.step(action)
    return (time.perf_counter() - start) / steps * 1e6


def compare(case: str, rounds: int, steps: int) -> dict[str, Any]:
    envs = [make() for make in CASES[case]]
    times = [[microseconds_a_step(env, steps) for env in envs] for _ in range(rounds)]
    ours = statistics.median(perturbed - bare for bare, perturbed, _ in times)
    peer = statistics.median(wrapped - bare for bare, _, wrapped in times)
    unit = "us added to a step"
    return {"case": case, "ours": ours, "peer": peer, "unit": unit, "ratio": peer / ours, "threads": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and steps")
    quick = parser.parse_args().quick
    for case in CASES:
        print(json.dumps(compare(case, rounds=5 if quick else 15, steps=2_000 if quick else 20_000)), flush=True)


if __name__ == "__main__":
    main()
