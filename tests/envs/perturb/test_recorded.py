"""The draws of every effect are those recorded in recorded.json, so that published rows can be made again.

To record an effect that is new: ``python tests/envs/perturb/test_recorded.py`` prints the table; add its entry.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from agentgym.envs.perturb import (
    ActionDelay,
    ActionGainDrift,
    ActionMixture,
    ActionNoise,
    ObservationBias,
    ObservationDelay,
    ObservationDropout,
    ObservationFreeze,
    ObservationNoise,
    ObservationQuantization,
    Perturbation,
    RewardDelay,
    RewardNoise,
    RewardSignFlip,
    StickyAction,
    TimeCorrelatedActionNoise,
    perturb,
)

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())
STEPS, SEED = 70, 11  # more than one block of draws
EFFECTS: dict[str, list[Perturbation]] = {
    "noise": [ObservationNoise(0.3)],
    "noise, sometimes": [ObservationNoise(0.3, probability=0.5, start=2, every=3, stop=60)],
    "bias": [ObservationBias(0.5, start=3, stop=9)],
    "dropout": [ObservationDropout(0.3, fill=-1.0, probability=0.6)],
    "freeze": [ObservationFreeze(0.2, duration=3)],
    "observation delay": [ObservationDelay(3, before="first", probability=0.7)],
    "quantization": [ObservationQuantization(0.25, every=2)],
    "action noise": [ActionNoise(0.8)],
    "swelling noise": [TimeCorrelatedActionNoise(2.0)],
    "action delay": [ActionDelay(2)],
    "sticky": [StickyAction(0.4, duration=2)],
    "drift": [ActionGainDrift(0.2, -0.01, low=0.0, high=2.0)],
    "mixture": [ActionMixture("random", 0.3, probability=0.6)],
    "reward noise": [RewardNoise(1.0)],
    "reward delay": [RewardDelay(3)],
    "sign flip": [RewardSignFlip(0.3)],
    "stack": [ObservationNoise(0.1), ObservationDelay(2), ActionNoise(0.5), StickyAction(0.25), ObservationNoise(0.2)],
}


class Ramp(gymnasium.Env):
    """Known values: step t is seen as (t, -t), rewarded with t; episodes end after 40 steps. Keeps the actions."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.time, self.received = 0, getattr(self, "received", [])
        return np.array([0.0, 0.0]), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.time += 1
        self.received.append(np.array(action))
        return np.array([self.time, -self.time], np.float64), float(self.time), False, self.time == 40, {}


def record(effects: list[Perturbation]) -> dict[str, Any]:
    """What an agent and the environment receive in 70 steps: checksums of all of it, and the last values."""
    env = perturb(Ramp(), *effects)
    observation, info = env.reset(seed=SEED)
    seen, rewards, fired = [observation], [], [info["perturbed"]]
    for step in range(STEPS):
        action = np.array([0.5, -0.9], np.float32) * np.float32((step % 5) / 4)
        observation, reward, _, truncated, info = env.step(action)
        seen.append(observation)
        rewards.append(reward)
        fired.append(info["perturbed"])
        if truncated:
            env.reset()
    arrays = [np.array(seen), np.array(env.unwrapped.received), np.array(rewards)]
    return {
        "crc": [zlib.crc32(array.tobytes()) for array in arrays],
        "last": [array[-1].tolist() for array in arrays],
        "fired": {name: "".join("01"[bool(flags[name])] for flags in fired) for name in fired[0]},
    }


@pytest.mark.parametrize("name", EFFECTS)
def test_draws_are_those_recorded(name: str) -> None:
    ours, recorded = record(EFFECTS[name]), RECORDED[name]
    assert ours["fired"] == recorded["fired"]
    if name == "swelling noise":  # the last bits of NumPy's sine depend on the processor
        for one, other in zip(ours["last"], recorded["last"], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)
    else:
        assert ours == recorded


if __name__ == "__main__":
    print(json.dumps({name: record(effects) for name, effects in EFFECTS.items()}, indent=1))
