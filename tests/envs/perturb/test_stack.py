"""Order, nesting, seeds, what is told in info."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from agentgym.envs.perturb import (
    ActionDelay,
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

STACK = (
    ObservationNoise(0.3, probability=0.5),
    ActionMixture(lambda seen: np.tanh(seen[:, :2]), 0.4),
    ActionNoise(0.5),
    ObservationDelay(1),
    RewardNoise(0.5),
    ObservationNoise(0.1),
    StickyAction(0.3),
    RewardDelay(1),
)


def rollout(env: Any, seed: int | None, steps: int = 40) -> list[tuple]:
    env.action_space.seed(1)
    told = [env.reset(seed=seed)]
    for _ in range(steps):
        told.append(env.step(env.action_space.sample()))
        if isinstance(env, gymnasium.Env) and (told[-1][2] or told[-1][3]):
            told.append(env.reset())
    return told


def assert_equal(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple) or (isinstance(one, np.ndarray) and one.dtype.hasobject):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cut", range(1, len(STACK)))
def test_nesting_is_the_same_as_listing(cut: int, world: Callable, batch: Callable) -> None:
    for make in (world, lambda: batch(3), lambda: batch(3, "SameStep")):
        flat = rollout(perturb(make(), *STACK, true_observation=True), seed=5)
        nested = perturb(perturb(make(), *STACK[:cut], true_observation=True), *STACK[cut:])
        assert_equal(flat, rollout(nested, seed=5))


def test_a_wrapper_between_changes_nothing(world: Callable) -> None:
    flat = perturb(world(), *STACK)
    between = perturb(gymnasium.wrappers.OrderEnforcing(perturb(world(), *STACK[:3])), *STACK[3:])
    assert_equal(rollout(flat, seed=5), rollout(between, seed=5))


def test_perturbing_worlds_then_batching_is_the_same(world: Callable, batch: Callable) -> None:
    inside = SyncVectorEnv([lambda: perturb(world(), *STACK)] * 3)
    for one, other in zip(rollout(inside, seed=5), rollout(perturb(batch(3), *STACK), seed=5), strict=True):
        for a, b in zip(one[:-1], other[:-1], strict=True):
            np.testing.assert_array_equal(a, b)
        for name in other[-1]["perturbed"]:
            np.testing.assert_array_equal(one[-1]["perturbed"][name], other[-1]["perturbed"][name])


@pytest.mark.parametrize("batched", [SyncVectorEnv, AsyncVectorEnv])
def test_effects_inside_and_outside_a_batch_have_different_streams(batched: type, world: Callable) -> None:
    inside = batched([lambda: perturb(world(), ObservationNoise(1.0), true_observation=True)] * 2)
    both = perturb(inside, ObservationNoise(1.0))
    observations, infos = both.reset(seed=0)
    first = inside.reset(seed=0)[0] - infos["true_observation"]
    second = observations - infos["true_observation"] - first
    inside.close()
    assert not np.isclose(first, second).any()
    assert {"ObservationNoise", "ObservationNoise_2"} <= set(infos["perturbed"])


def test_true_reward_counts_the_last_step_of_worlds_perturbed_inside(world: Callable) -> None:
    inside = SyncVectorEnv([lambda: perturb(world(), RewardNoise(1.0))] * 3, autoreset_mode="SameStep")
    told = rollout(perturb(inside, RewardSignFlip(0.5)), seed=2)
    plain = rollout(SyncVectorEnv([world] * 3, autoreset_mode="SameStep"), seed=2)
    assert any((step[2] | step[3]).any() for step in told[1:])
    for step, true in zip(told[1:], plain[1:], strict=True):
        np.testing.assert_array_equal(step[4]["true_reward"], true[1])


def test_observations_pass_first_to_last_and_actions_last_to_first(world: Callable) -> None:
    coarse_then_shifted = perturb(world(), ObservationQuantization(1.0), ObservationBias(0.25), true_observation=True)
    observation, info = coarse_then_shifted.reset(seed=0)
    np.testing.assert_array_equal(observation, np.rint(info["true_observation"]) + np.float32(0.25))
    shifted_then_coarse = perturb(world(), ObservationBias(0.25), ObservationQuantization(1.0), true_observation=True)
    observation, info = shifted_then_coarse.reset(seed=0)
    np.testing.assert_array_equal(observation, np.rint(info["true_observation"] + np.float32(0.25)))

    ones = np.ones(2, np.float32)
    for effects, expected in (
        ((ActionMixture("zero", 0.5), ActionDelay(1)), [0.0, 0.5]),  # delayed first, then halved
        ((ActionDelay(1), ActionMixture(lambda seen: np.ones((len(seen), 2)), 0.5)), [0.0, 0.75]),
    ):
        env = perturb(world(), *effects)
        env.reset(seed=0)
        env.step(0.5 * ones if effects[0] == ActionDelay(1) else ones)
        env.step(ones)
        np.testing.assert_array_equal([received[0] for received in env.unwrapped.received], expected)


def test_a_policy_sees_the_observation_at_its_place(world: Callable) -> None:
    seen: list[np.ndarray] = []

    def spy(observations: np.ndarray) -> np.ndarray:
        seen.append(observations)
        return np.zeros((len(observations), 2))

    for effects in ((ActionMixture(spy), ObservationBias(5.0)), (ObservationBias(5.0), ActionMixture(spy))):
        env = perturb(world(), *effects, true_observation=True)
        observation, info = env.reset(seed=0)
        env.step(np.zeros(2, np.float32))
        shown = info["true_observation"] if effects[0] == ActionMixture(spy) else observation
        np.testing.assert_array_equal(seen.pop(), shown[None])


def test_equal_seeds_give_equal_runs_and_episodes_differ(world: Callable, batch: Callable) -> None:
    for make in (world, lambda: batch(2), lambda: batch(2, "SameStep")):
        env = perturb(make(), *STACK)
        first = rollout(env, seed=8)
        assert_equal(first, rollout(env, seed=8))  # nothing of the first run is left
        assert_equal(first, rollout(perturb(make(), *STACK), seed=8))
    env = perturb(world(), ObservationNoise(1.0), true_observation=True)
    episodes = [env.reset(seed=3), env.reset(), env.reset(seed=4)]
    noises = [observation - info["true_observation"] for observation, info in episodes]
    assert not np.isclose(noises[0], noises[1]).any()
    assert not np.isclose(noises[0], noises[2]).any()


def test_never_seeded_environments_differ(world: Callable) -> None:
    starts = []
    for _ in range(2):
        observation, info = perturb(world(), ObservationNoise(1.0), true_observation=True).reset()
        starts.append(observation - info["true_observation"])
    assert not np.isclose(*starts).any()


@pytest.mark.parametrize("effects", [STACK[:1], (RewardNoise(1.0), RewardSignFlip(0.5)), (ObservationDropout(0.5),)])
def test_the_environments_own_noise_is_untouched(effects: tuple, world: Callable) -> None:
    """Common random numbers: with and without the perturbation the dynamics draw the same."""
    plain = rollout(world(), seed=5)
    perturbed = rollout(perturb(world(), *effects, true_observation=True), seed=5)
    for one, other in zip(plain, perturbed, strict=True):
        np.testing.assert_array_equal(one[0], other[-1]["true_observation"])
        if len(one) == 5:
            assert one[1] == other[-1].get("true_reward", other[1])


def test_adding_an_effect_outside_leaves_the_others_draws(world: Callable) -> None:
    alone = rollout(perturb(world(), ObservationNoise(1.0)), seed=5)
    joined = rollout(perturb(world(), ObservationNoise(1.0), RewardNoise(1.0), ActionDelay(0)), seed=5)
    for one, other in zip(alone, joined, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


@pytest.mark.parametrize(
    "effect",
    [
        ObservationNoise(1.0, probability=0.5),
        ObservationFreeze(0.5),
        ObservationDropout(0.3, fill=9.0),
        ObservationDelay(1),
    ],
)
def test_fired_says_when_the_observation_changed(effect: Any, world: Callable) -> None:
    name = type(effect).__name__
    for step in rollout(perturb(world(), effect, true_observation=True), seed=5):
        changed = not np.array_equal(step[0], step[-1]["true_observation"])
        assert step[-1]["perturbed"] == {name: changed}


def test_fired_says_when_the_action_changed(world: Callable) -> None:
    env = perturb(world(), StickyAction(0.5))
    env.action_space.seed(0)
    env.reset(seed=0)
    fired = []
    for _ in range(8):
        action = env.action_space.sample()
        *_, info = env.step(action)
        fired.append(info["perturbed"]["StickyAction"])
        assert fired[-1] == (not np.array_equal(action, env.unwrapped.received[-1]))
    assert any(fired)


def test_clipping_is_told(world: Callable, batch: Callable) -> None:
    env = perturb(batch(64), ActionNoise(1.0), ObservationNoise(1.0))
    env.reset(seed=0)
    *_, infos = env.step(np.zeros((64, 2), np.float32))
    received = np.array([single.unwrapped.received[0] for single in env.unwrapped.envs])
    np.testing.assert_array_equal(infos["perturbed_clipped"]["ActionNoise"], (np.abs(received) == 1).any(axis=1))
    assert "ObservationNoise" not in infos["perturbed_clipped"]  # that space has no bounds
    assert 0 < infos["perturbed_clipped"]["ActionNoise"].sum() < 64


def test_dtypes_stay(world: Callable) -> None:
    env = perturb(world(), *STACK)
    observation, _ = env.reset(seed=0)
    assert observation.dtype == np.float32
    observation, reward, *_ = env.step([0.5, 0.5])  # a list is an action, too
    assert observation.dtype == np.float32
    assert type(reward) is float
    assert env.unwrapped.received[0].dtype == np.float32
    choices = perturb(world(action_space=spaces.Discrete(4)), StickyAction(0.5), ActionMixture("random", 0.5))
    choices.reset(seed=0)
    choices.step(2)
    assert choices.unwrapped.received[0] in choices.action_space


def test_returned_arrays_are_the_callers_own(world: Callable, batch: Callable) -> None:
    for make in (world, lambda: batch(2)):
        kept, spoiled = perturb(make(), *STACK), perturb(make(), *STACK)
        for env in (kept, spoiled):
            env.action_space.seed(0)
        kept.reset(seed=1)
        spoiled.reset(seed=1)[0][...] = 1e6
        for _ in range(5):
            action = kept.action_space.sample()
            one = kept.step(action)[0]
            other = spoiled.step(action)[0]
            np.testing.assert_array_equal(one, other)
            other[...] = 1e6
