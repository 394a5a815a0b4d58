"""World i of a batch equals the single environment with its seed, bit for bit, over ends of episodes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.envs.perturb import (
    ActionDelay,
    ActionGainDrift,
    ActionMixture,
    ActionNoise,
    ObservationBias,
    ObservationDelay,
    ObservationDropout,
    ObservationFreeze,
    ObservationHidden,
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

WORLDS, STEPS = 3, 60


def against(observations: np.ndarray) -> np.ndarray:
    """A deterministic adversary that acts on each row alone."""
    return -np.sign(observations[:, :2])


EFFECTS: list[Perturbation] = [
    ObservationNoise(0.3, probability=0.5),
    ObservationNoise((0.1, 0.0, 1.0)),
    ObservationBias(0.5, start=3, stop=9),
    ObservationDropout(0.3, fill=-1.0),
    ObservationHidden((0,), probability=0.5),
    ObservationFreeze(0.2, duration=3),
    ObservationDelay(3, before="first", probability=0.7),
    ObservationDelay(2),
    ObservationQuantization(0.25, every=2),
    ActionNoise(0.5, probability=0.5),
    TimeCorrelatedActionNoise(2.0),
    ActionDelay(2),
    StickyAction(0.4, duration=2),
    ActionGainDrift(0.2, -0.01, low=0.0, high=2.0),
    ActionMixture("random", 0.3, probability=0.6),
    ActionMixture("zero", 0.5),
    ActionMixture(against, 0.5),
    RewardNoise(1.0),
    RewardDelay(3),
    RewardSignFlip(0.3),
]


def actions_for(count: int, steps: int, space: spaces.Space, seed: int = 5) -> np.ndarray:
    space.seed(seed)
    return np.array([[space.sample() for _ in range(count)] for _ in range(steps)])


def alone(env: Any, seed: int, actions: np.ndarray) -> list[tuple]:
    """(what, observation, reward, terminated, truncated, info) of every reset and step of a single environment."""
    observation, info = env.reset(seed=seed)
    told = [("reset", observation, 0.0, False, False, info)]
    over = False
    for action in actions:
        if over:
            observation, info = env.reset()
            told.append(("reset", observation, 0.0, False, False, info))
            over = False
            continue
        observation, reward, terminated, truncated, info = env.step(action)
        told.append(("step", observation, reward, terminated, truncated, info))
        over = terminated or truncated
    return told


def alone_same_step(env: Any, seed: int, actions: np.ndarray) -> list[tuple]:
    """As :func:`alone`, but an episode's end and the next one's reset stand in one entry, the end's with "final"."""
    observation, info = env.reset(seed=seed)
    told = [(None, observation, 0.0, False, False, info, info)]
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        final, last = None, info
        if terminated or truncated:
            final = observation
            observation, info = env.reset()
        told.append((final, observation, reward, terminated, truncated, info, last))
    return told


def assert_same(one: Any, other: Any) -> None:
    assert np.asarray(one).dtype == np.asarray(other).dtype
    np.testing.assert_array_equal(one, other)


def check_next_step(world: Callable, batch: Callable, effects: list[Perturbation], seed: int = 7, **kinds: Any) -> None:
    vector = perturb(batch(WORLDS, **kinds), *effects)
    actions = actions_for(WORLDS, STEPS, vector.single_action_space)
    singles = [alone(perturb(world(**kinds), *effects), seed + i, actions[:, i]) for i in range(WORLDS)]
    ends = 0
    observations, infos = vector.reset(seed=seed)
    rewards = terminations = truncations = np.zeros(WORLDS)
    for step in range(STEPS + 1):
        if step:
            observations, rewards, terminations, truncations, infos = vector.step(actions[step - 1])
        for i in range(WORLDS):
            _, observation, reward, terminated, truncated, info = singles[i][step]
            assert_same(observations[i], observation)
            assert (rewards[i], terminations[i], truncations[i]) == (reward, terminated, truncated)
            for name, fired in info["perturbed"].items():
                assert infos["perturbed"][name][i] == fired, (step, name)
            for name, clipped in info.get("perturbed_clipped", {}).items():
                assert infos["perturbed_clipped"][name][i] == clipped
            ends += terminated or truncated
    assert ends >= WORLDS  # else the test has not seen what it is for


def check_same_step(world: Callable, batch: Callable, effects: list[Perturbation], seed: int = 7) -> None:
    vector = perturb(batch(WORLDS, "SameStep"), *effects)
    actions = actions_for(WORLDS, STEPS, vector.single_action_space)
    singles = [alone_same_step(perturb(world(), *effects), seed + i, actions[:, i]) for i in range(WORLDS)]
    observations, _ = vector.reset(seed=seed)
    ends = 0
    for i in range(WORLDS):
        assert_same(observations[i], singles[i][0][1])
    for step in range(1, STEPS + 1):
        observations, rewards, terminations, truncations, infos = vector.step(actions[step - 1])
        for i in range(WORLDS):
            final, observation, reward, terminated, truncated, info, last = singles[i][step]
            assert_same(observations[i], observation)
            assert (rewards[i], terminations[i], truncations[i]) == (reward, terminated, truncated)
            if "true_reward" in last:
                assert infos["true_reward"][i] == last["true_reward"]
            watched = [name for name in info["perturbed"] if name.startswith("Observation")]
            assert all(infos["perturbed"][name][i] == info["perturbed"][name] for name in watched)
            if final is not None:
                ends += 1
                assert_same(infos["final_obs"][i], final)
                for name, fired in last["perturbed"].items():
                    assert infos["final_info"]["perturbed"][name][i] == fired
    assert ends >= WORLDS


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
@pytest.mark.parametrize("check", [check_next_step, check_same_step])
def test_each_effect(check: Callable, effect: Perturbation, world: Callable, batch: Callable) -> None:
    check(world, batch, [effect])


@pytest.mark.parametrize("check", [check_next_step, check_same_step])
def test_all_together(check: Callable, world: Callable, batch: Callable) -> None:
    check(world, batch, EFFECTS)
    check(world, batch, EFFECTS[::-1])


@pytest.mark.parametrize(
    "kinds",
    [
        {"observation_space": spaces.Box(0, 255, (4, 5, 3), np.uint8)},
        {"observation_space": spaces.Box(-1.0, np.array([1.0, np.inf], np.float64), dtype=np.float64)},
    ],
    ids=["image", "half bounded"],
)
def test_box_observations_of_any_kind(kinds: dict, world: Callable, batch: Callable) -> None:
    effects = [
        effect for effect in EFFECTS if effect.changes == "observation" and np.ndim(getattr(effect, "std", 0)) == 0
    ]
    effects = [ObservationNoise(9.0) if isinstance(effect, ObservationDropout) else effect for effect in effects]
    check_next_step(world, batch, effects, **kinds)


@pytest.mark.parametrize(
    "space", [spaces.Discrete(5, start=-2), spaces.MultiDiscrete([3, 4]), spaces.MultiBinary(3)], ids=str
)
def test_choices(space: spaces.Space, world: Callable, batch: Callable) -> None:
    effects = [
        StickyAction(0.3),
        ActionDelay(1),
        ActionMixture("random", 0.4),
        ObservationDelay(2),
        ObservationFreeze(0.3),
    ]
    check_next_step(world, batch, effects, action_space=space, observation_space=space)


@settings(max_examples=12, deadline=None)
@given(
    effects=st.lists(st.sampled_from(EFFECTS), min_size=1, max_size=7),
    seed=st.integers(0, 2**31 - 10),
    check=st.sampled_from([check_next_step, check_same_step]),
)
def test_random_stacks(effects: list, seed: int, check: Callable, world: Callable, batch: Callable) -> None:
    check(world, batch, effects, seed=seed)


def test_masked_resets_with_autoreset_disabled(world: Callable, batch: Callable) -> None:
    vector = perturb(batch(WORLDS, AutoresetMode.DISABLED), *EFFECTS)
    singles = [perturb(world(), *EFFECTS) for _ in range(WORLDS)]
    actions = actions_for(WORLDS, STEPS, vector.single_action_space)
    seen, _ = vector.reset(seed=[11, 5, 8])
    for env, seed, row in zip(singles, (11, 5, 8), seen, strict=True):
        assert_same(row, env.reset(seed=seed)[0])
    resets = 0
    for step in range(STEPS):
        seen, rewards, terminations, truncations, _ = vector.step(actions[step])
        for i, env in enumerate(singles):
            observation, reward, terminated, truncated, _ = env.step(actions[step, i])
            assert_same(seen[i], observation)
            assert (rewards[i], terminations[i], truncations[i]) == (reward, terminated, truncated)
        if (over := terminations | truncations).any():
            resets += 1
            seeds = [None, 100 + step, None]
            options = {"reset_mask": over}
            fresh, infos = vector.reset(seed=seeds, options=options)
            assert options == {"reset_mask": over}
            assert not infos["perturbed"]["ObservationNoise"][~over].any()
            for i, env in enumerate(singles):
                assert_same(fresh[i], env.reset(seed=seeds[i])[0] if over[i] else seen[i])
    assert resets >= 3


def test_worlds_of_a_batch_have_their_own_streams(batch: Callable) -> None:
    vector = perturb(batch(2), ObservationNoise(1.0), true_observation=True)
    observations, infos = vector.reset(seed=3)
    noise = observations - infos["true_observation"]
    assert not np.isclose(noise[0], noise[1]).any()


def test_async_batch_equals_sync(world: Callable, batch: Callable) -> None:
    sync = perturb(batch(2), *EFFECTS)
    parallel = perturb(AsyncVectorEnv([world, world]), *EFFECTS)
    actions = actions_for(2, 30, sync.single_action_space)
    try:
        assert_same(sync.reset(seed=1)[0], parallel.reset(seed=1)[0])
        for action in actions:
            one, other = sync.step(action), parallel.step(action)
            for a, b in zip(one[:4], other[:4], strict=True):
                assert_same(a, b)
    finally:
        parallel.close()


def test_dict_observations_and_tuple_actions(world: Callable, batch: Callable) -> None:
    kinds = {
        "observation_space": spaces.Dict(image=spaces.Box(0, 255, (2, 2), np.uint8), mode=spaces.Discrete(4)),
        "action_space": spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (2,))]),
    }
    effects = [ObservationDelay(2), ObservationFreeze(0.3), StickyAction(0.5), ActionDelay(1)]
    for mode in ("NextStep", "SameStep"):
        vector, single = perturb(batch(1, mode, **kinds), *effects), perturb(world(**kinds), *effects)
        vector.action_space.seed(0)
        seen, _ = vector.reset(seed=4)
        one, _ = single.reset(seed=4)
        for _ in range(12):  # this seed's first episode is longer
            np.testing.assert_array_equal(seen["image"][0], one["image"])
            assert seen["mode"][0] == one["mode"]
            assert one in single.observation_space
            assert seen in vector.observation_space
            batched = vector.action_space.sample()
            seen, _, terminations, truncations, _ = vector.step(batched)
            one, _, *_ = single.step((batched[0][0], batched[1][0]))
            if (terminations | truncations).any():
                break
        assert single.unwrapped.steps >= 5
