"""Robust environments as zero-sum games, and what their agents may observe."""

import gymnasium as gym
import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

import agentgym
from agentgym.errors import InvalidAction, InvalidParameter, ResetNeeded, UnknownId

TASKS = ["Ant", "HalfCheetah", "Hopper", "HumanoidStandup", "InvertedPendulum", "Walker2d"]


def game(task="Hopper", **arguments):
    return agentgym.parallel_env(f"agentgym/Robust{task}-v0", **arguments)


@pytest.mark.filterwarnings("ignore:There is no reset option")  # which the test gives
@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_a_pettingzoo_game(task):
    parallel_api_test(game(task), num_cycles=30)


def test_the_game_is_the_single_environment_with_the_adversarys_parameters():
    env, alone = game(), gym.make("agentgym/RobustHopper-v0")
    seen, _ = env.reset(seed=3)
    np.testing.assert_array_equal(seen["agent"], alone.reset(seed=3)[0])
    draws = np.random.default_rng(0)
    while env.agents:
        actions = {name: draws.uniform(-1, 1, 3) for name in env.agents}
        low, high = np.array(list(env.env.parameter_ranges.values())).T
        wanted = (low + high) / 2 + (high - low) / 2 * actions["adversary"]
        alone.unwrapped.set_parameters(dict(zip(alone.unwrapped.parameter_ranges, wanted, strict=True)))
        seen, rewards, terminated, _, infos = env.step(actions)
        observation, reward, ended, _, _ = alone.step(actions["agent"])
        np.testing.assert_array_equal(seen["agent"], observation)
        np.testing.assert_allclose(list(infos["agent"]["parameters"].values()), wanted)
        np.testing.assert_allclose(seen["adversary"][-3:], actions["adversary"], atol=1e-12)
        assert rewards == {"agent": reward, "adversary": -reward}
        assert terminated == {"agent": ended, "adversary": ended}
    with pytest.raises(ResetNeeded):
        env.step({})


def test_a_time_constrained_adversary_moves_by_its_radius_within_the_set():
    env = game("InvertedPendulum", radius=0.5, randomize="uniform", uncertain=("pole_mass",))
    env.reset(seed=0)
    before = env.env.parameters["pole_mass"]
    for move, length in ((1.0, 0.5), (-0.5, -0.25)):
        env.step({"agent": np.zeros(1), "adversary": np.array([move])})
        now = env.env.parameters["pole_mass"]
        assert now - before == pytest.approx(length)
        before = now
    for _ in range(80):
        if not env.agents:
            env.reset(options={"parameters": {"pole_mass": 30.9}})
        env.step({"agent": np.zeros(1), "adversary": np.ones(1)})
    assert env.env.parameters["pole_mass"] <= 31.0


def test_the_time_limit_truncates():
    env = game("HalfCheetah", max_episode_steps=3)
    env.reset(seed=0)
    for _ in range(3):
        outcome = env.step({"agent": np.zeros(6), "adversary": np.zeros(3)})
    assert outcome[3] == {"agent": True, "adversary": True}
    assert env.agents == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"uncertain": ("mass",)}, UnknownId),
        ({"uncertain": ("friction", "friction")}, InvalidParameter),
        ({"radius": 0.0}, InvalidParameter),
        ({"max_episode_steps": 0}, InvalidParameter),
        ({"observe": "everything"}, UnknownId),
    ],
)
def test_bad_arguments_are_refused(arguments, error):
    with pytest.raises(error):
        game(**arguments)


@pytest.mark.parametrize("move", [[2.0, 0, 0], [np.nan, 0, 0], [0.0, 0.0]])
def test_bad_actions_of_the_adversary_are_refused(move):
    env = game()
    env.reset(seed=0)
    with pytest.raises(InvalidAction):
        env.step({"agent": np.zeros(3), "adversary": np.array(move)})
    with pytest.raises(InvalidAction):
        env.step({"agent": np.zeros(3)})


@pytest.mark.parametrize("observe", ["parameters", "transition"])
def test_the_batch_observes_what_single_environments_do(observe):
    arguments = {"observe": observe, "randomize": "uniform", "schedule": {"friction": "random_walk"}}
    batch = gym.make_vec("agentgym/RobustHopper-v0", num_envs=2, autoreset_mode="SameStep", **arguments)
    singles = [gym.make("agentgym/RobustHopper-v0", **arguments) for _ in range(2)]
    seen, _ = batch.reset(seed=[5, 6])
    np.testing.assert_array_equal(seen, [env.reset(seed=seed)[0] for seed, env in zip((5, 6), singles, strict=True)])
    draws, held = np.random.default_rng(1), None
    for step in range(60):
        actions = draws.uniform(-1, 1, (2, 3)).astype(np.float32)
        if step == 20:
            held = batch.get_state(), batch.step(actions)[0]
            batch.set_state(held[0])
        seen = batch.step(actions)[0]
        if step == 20:
            np.testing.assert_array_equal(seen, held[1])
        for index, env in enumerate(singles):
            observation, _, terminated, truncated, _ = env.step(actions[index])
            if terminated or truncated:
                observation, _ = env.reset()
            np.testing.assert_array_equal(seen[index], observation)


def test_what_is_observed_beside_the_state():
    choices = ("state", "parameters", "transition")
    plain, told, stacked = (gym.make("agentgym/RobustHopper-v0", observe=choice) for choice in choices)
    first = plain.reset(seed=0)[0]
    values = {"friction": 0.1, "torso_mass": 1.55, "thigh_mass": 4.0}
    np.testing.assert_allclose(told.reset(seed=0, options={"parameters": values})[0], [*first, -1, 0, 1])
    np.testing.assert_array_equal(stacked.reset(seed=0)[0], [*first, *first, 0, 0, 0])
    action = np.array([0.1, -0.2, 0.3])
    second = plain.step(action)[0]
    np.testing.assert_array_equal(stacked.step(action)[0], [*second, *first, *action])
    assert all(env.observation_space.contains(env.reset(seed=1)[0]) for env in (plain, told, stacked))
