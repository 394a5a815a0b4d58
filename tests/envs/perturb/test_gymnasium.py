"""Beside Gymnasium: its wrappers where they mean the same, its checks, its conventions."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers.vector import DictInfoToList
from stable_baselines3.common.env_checker import check_env as sb3_check_env

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
    RewardDelay,
    RewardNoise,
    RewardSignFlip,
    StickyAction,
    perturb,
)
from agentgym.seeding import stream

ALL_EFFECTS = (
    ObservationNoise(0.1),
    ObservationBias(0.1),
    ObservationDropout(0.1),
    ObservationFreeze(0.1),
    ObservationDelay(1),
    ObservationQuantization(0.01),
    ActionNoise(0.1),
    ActionDelay(1),
    StickyAction(0.25),
    ActionGainDrift(),
    ActionMixture("random", 0.15),
    RewardNoise(0.1),
    RewardDelay(2),
    RewardSignFlip(0.1),
)


@pytest.mark.parametrize("delay", [0, 1, 5])
@pytest.mark.parametrize(
    "space", [spaces.Box(0.5, 2.0, (3,), np.float64), spaces.Discrete(9, start=3), spaces.Box(0, 255, (2, 2), np.uint8)]
)
def test_delay_is_gymnasiums(delay: int, space: spaces.Space, world: Callable) -> None:
    ours = perturb(world(observation_space=space), ObservationDelay(delay))
    theirs = gymnasium.wrappers.DelayObservation(world(observation_space=space), delay)
    ours.action_space.seed(0)
    for episode in range(3):
        seed = 3 if episode == 0 else None
        np.testing.assert_array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0])
        over = False
        while not over:
            action = ours.action_space.sample()
            one, *_, terminated, truncated, _ = ours.step(action)
            np.testing.assert_array_equal(one, theirs.step(action)[0])
            over = terminated or truncated


class Quiet(gymnasium.Env):
    """Draws nothing, so that Gymnasium's StickyAction is the only one to draw from its generator."""

    observation_space = spaces.Box(-1, 1, (1,))
    action_space = spaces.Box(-1, 1, (1,), np.float64)

    def __init__(self) -> None:
        self.received: list[float] = []

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        self.received.append(float(action[0]))
        return np.zeros(1, np.float32), 0.0, False, False, {}


def test_sticky_is_gymnasiums_given_the_same_draws() -> None:
    ours, theirs = perturb(Quiet(), StickyAction(0.4)), gymnasium.wrappers.StickyAction(Quiet(), 0.4)
    ours.reset(seed=6)
    theirs.reset(seed=6)
    generator = stream(6, "perturb", "StickyAction", 0, "fires")
    generator.random()  # ours draws at the first action too, where nothing can stick; Gymnasium's does not
    theirs.unwrapped.np_random = generator
    for action in np.linspace(-1, 1, 300):
        ours.step(np.array([action]))
        theirs.step(np.array([action]))
    assert ours.unwrapped.received == theirs.unwrapped.received
    assert len(set(ours.unwrapped.received)) < 250


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "effects",
    [ALL_EFFECTS, *[(effect,) for effect in ALL_EFFECTS]],
    ids=["all", *[type(effect).__name__ for effect in ALL_EFFECTS]],
)
def test_checkers_pass(effects: tuple) -> None:
    env = perturb(gymnasium.make("Pendulum-v1"), *effects)
    check_env(env, skip_render_check=True)  # rendering needs pygame and is not ours
    sb3_check_env(perturb(gymnasium.make("Pendulum-v1"), *effects), skip_render_check=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1"])
def test_checkers_pass_with_choices(name: str) -> None:
    effects = (
        ObservationDelay(1),
        ObservationFreeze(0.3),
        StickyAction(0.2),
        ActionMixture("random", 0.2),
        RewardNoise(1.0),
    )
    check_env(perturb(gymnasium.make(name), *effects), skip_render_check=True)
    sb3_check_env(perturb(gymnasium.make(name), *effects), skip_render_check=True)


def test_spec_rebuilds_the_perturbed_environment() -> None:
    env = perturb(gymnasium.make("Pendulum-v1"), ObservationNoise((0.1, 0.2, 0.3)), StickyAction(0.5))
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    env.action_space.seed(0)
    np.testing.assert_array_equal(env.reset(seed=2)[0], again.reset(seed=2)[0])
    for _ in range(20):
        action = env.action_space.sample()
        np.testing.assert_array_equal(env.step(action)[0], again.step(action)[0])


def test_info_converts_to_a_list() -> None:
    env = DictInfoToList(
        perturb(gymnasium.make_vec("Pendulum-v1", num_envs=2), ObservationNoise(0.1), RewardNoise(1.0))
    )
    env.reset(seed=0)
    *_, infos = env.step(env.action_space.sample())
    assert infos[1]["perturbed"] == {"ObservationNoise": True, "RewardNoise": True}
    assert "true_reward" in infos[1]


def test_natively_batched_environment() -> None:
    env = perturb(
        gymnasium.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point"), ObservationNoise(0.1)
    )
    env.action_space.seed(0)
    runs = []
    for _ in range(2):
        env.action_space.seed(0)
        seen = [env.reset(seed=4)[0]]
        seen += [env.step(env.action_space.sample())[0] for _ in range(60)]
        runs.append(np.array(seen))
    assert runs[0].dtype == np.float32
    np.testing.assert_array_equal(*runs)
