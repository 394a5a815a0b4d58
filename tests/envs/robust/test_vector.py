"""The batched door against the single one, world by world, and against Gymnasium's SyncVectorEnv, key by key."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import agentgym
from agentgym.envs.robust.presets import TASKS
from agentgym.errors import InvalidAction, InvalidParameter, UnknownId

assert agentgym
EVERYTHING = {"randomize": "uniform", "schedule": {"gravity": "random_walk"}, "forces": "rarl"}


def make(task, worlds=3, **arguments):
    return gym.make_vec(f"agentgym/Robust{task}-v0", num_envs=worlds, **arguments)


def actions(env, steps, seed=0):
    space = env.action_space
    rng = np.random.default_rng(seed)
    return [rng.uniform(space.low, space.high).astype(np.float32) for _ in range(steps)]


def assert_same(one, other, path="info"):
    """Equal keys, dtypes and values, all the way down."""
    if isinstance(one, dict):
        assert set(one) == set(other), path
        for key in one:
            assert_same(one[key], other[key], f"{path}.{key}")
    elif np.asarray(one).dtype == object:
        for mine, theirs in zip(one, other, strict=True):
            assert (mine is None) == (theirs is None), path
            np.testing.assert_array_equal(mine, theirs, err_msg=path)
    else:
        assert np.asarray(one).dtype == np.asarray(other).dtype, path
        np.testing.assert_array_equal(one, other, err_msg=path)


@pytest.mark.parametrize("task", TASKS)
def test_world_i_equals_the_single_environment_with_its_seed_across_episodes(task):
    """NEXT_STEP: a world whose episode ended spends the next step on its reset."""
    batch = make(task, max_episode_steps=40, **EVERYTHING)
    singles = [gym.make(f"agentgym/Robust{task}-v0", max_episode_steps=40, **EVERYTHING) for _ in range(3)]
    observations, infos = batch.reset(seed=11)
    over, episodes = [False] * 3, 0
    for index, env in enumerate(singles):
        observation, info = env.reset(seed=11 + index)
        np.testing.assert_array_equal(observations[index], observation)
        assert {name: infos["parameters"][name][index] for name in info["parameters"]} == info["parameters"]
    for step in actions(batch, 130):
        observations, rewards, terminated, truncated, infos = batch.step(step)
        for index, env in enumerate(singles):
            if over[index]:
                observation, info = env.reset()
                expected = (0.0, False, False)
                episodes += 1
            else:
                observation, *expected, info = env.step(step[index])
            over[index] = bool(expected[1] or expected[2])
            np.testing.assert_array_equal(observations[index], observation)
            assert (rewards[index], terminated[index], truncated[index]) == tuple(expected)
            assert {n: infos["parameters"][n][index] for n in info["parameters"]} == info["parameters"]
    assert episodes >= 6


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("task", TASKS)
def test_every_output_equals_gymnasiums_sync_vector_env(task, mode):
    ours = make(task, max_episode_steps=25, autoreset_mode=mode, **EVERYTHING)
    theirs = gym.make_vec(
        f"agentgym/Robust{task}-v0",
        num_envs=3,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        max_episode_steps=25,
        **EVERYTHING,
    )
    assert ours.metadata == theirs.metadata
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert_same(ours.reset(seed=2)[1], theirs.reset(seed=2)[1])
    assert ours.np_random_seed == theirs.np_random_seed == (2, 3, 4)
    for step in actions(ours, 80):
        for one, other in zip(ours.step(step), theirs.step(step), strict=True):
            assert_same(one, other)


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        ("Ant", {"exclude_current_positions_from_observation": False, "include_cfrc_ext_in_observation": False}),
        ("Ant", {"contact_cost_weight": 0.1, "healthy_reward": 2.0, "healthy_z_range": (0.3, 0.9), "main_body": 2}),
        ("HumanoidStandup", {"include_cinert_in_observation": False, "uph_cost_weight": 2.0, "frame_skip": 2}),
        ("HumanoidStandup", {"include_qfrc_actuator_in_observation": False, "impact_cost_weight": 1.0}),
        ("Hopper", {"terminate_when_unhealthy": False, "ctrl_cost_weight": 0.1, "reset_noise_scale": 0.1}),
        ("Hopper", {"healthy_state_range": (-0.5, 0.5), "healthy_angle_range": (-0.1, 0.1)}),
        ("HalfCheetah", {"forward_reward_weight": 3.0, "exclude_current_positions_from_observation": False}),
        ("Walker2d", {"healthy_z_range": (1.0, 1.3)}),
        ("InvertedPendulum", {"reset_noise_scale": 0.1}),
    ],
)
def test_the_tasks_own_arguments_are_honoured(task, arguments):
    ours = make(task, **arguments)
    theirs = gym.make_vec(f"{task}-v5", num_envs=3, vectorization_mode="sync", **arguments)
    np.testing.assert_array_equal(ours.reset(seed=0)[0], theirs.reset(seed=0)[0])
    for step in actions(ours, 60):
        for one, other in zip(ours.step(step)[:4], theirs.step(step)[:4], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("threads", [2, 5])
def test_results_do_not_depend_on_threads(threads):
    one, many = make("Walker2d", 4, **EVERYTHING), make("Walker2d", 4, threads=threads, **EVERYTHING)
    one.reset(seed=0), many.reset(seed=0)
    for step in actions(one, 60):
        for mine, theirs in zip(one.step(step), many.step(step), strict=True):
            assert_same(mine, theirs)
    many.close()


def test_each_world_has_its_own_parameters():
    frictions = np.array([0.5, 1.0, 2.5])
    env = make("Hopper", parameters={"friction": frictions, "thigh_mass": 3.0})
    _, infos = env.reset(seed=0, options={"parameters": {"torso_mass": [1.0, 2.0, 3.0]}})
    np.testing.assert_array_equal(infos["parameters"]["friction"], frictions)
    np.testing.assert_array_equal(infos["contact_friction"], frictions)
    np.testing.assert_array_equal(infos["parameters"]["torso_mass"], [1, 2, 3])
    np.testing.assert_array_equal(infos["parameters"]["thigh_mass"], [3, 3, 3])
    assert [world.model.body("torso").mass[0] for world in env.worlds] == [1, 2, 3]
    env.set_parameters({"torso_mass": [0.5, 1.5, 2.5]})
    infos = env.step(np.zeros((3, 3), np.float32))[4]
    np.testing.assert_array_equal(infos["parameters"]["torso_mass"], [0.5, 1.5, 2.5])
    _, infos = env.reset(options={"parameters": {}})
    np.testing.assert_array_equal(infos["parameters"]["torso_mass"], [env.nominal_parameters["torso_mass"]] * 3)
    np.testing.assert_array_equal(env.parameters["friction"], frictions)


def test_some_worlds_can_be_reset_alone():
    env = make("HalfCheetah", autoreset_mode="Disabled", max_episode_steps=5)
    env.reset(seed=0)
    for step in actions(env, 5):
        observations, _, _, truncated, _ = env.step(step)
    assert truncated.all()
    with pytest.raises(RuntimeError, match="reset_mask"):
        env.step(step)
    mask = np.array([True, False, True])
    again, infos = env.reset(seed=0, options={"reset_mask": mask, "parameters": {"friction": 2.0}})
    np.testing.assert_array_equal(again[1], observations[1])
    np.testing.assert_array_equal(infos["_parameters"], mask)
    np.testing.assert_array_equal(env.parameters["friction"], [2.0, 0.4, 2.0])
    with pytest.raises(ValueError, match="reset_mask"):
        env.reset(options={"reset_mask": [1, 0, 1]})


def test_a_lost_state_ends_only_its_world():
    env = make("Hopper", forces={"torso": 1.0}, check_range=False)
    env.reset(seed=0, options={"parameters": {"torso_force_x": [0.0, 1e13, 0.0]}})
    _, rewards, terminated, _, infos = env.step(np.zeros((3, 3), np.float32))
    assert list(terminated) == [False, True, False]
    assert rewards[1] == 0.0
    assert rewards[0] > 0
    assert list(infos["simulation_unstable"]) == list(infos["_simulation_unstable"]) == [False, True, False]


def test_the_outputs_are_the_callers_to_keep():
    env = make("Ant")
    first = env.reset(seed=0)[0]
    kept = first.copy()
    step, _ = actions(env, 2)
    _, rewards, *_, infos = env.step(step)
    before = rewards.copy(), infos["x_position"].copy()
    env.step(step)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(rewards, before[0])
    np.testing.assert_array_equal(infos["x_position"], before[1])


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (np.zeros((2, 3)), r"shape \(3, 3\), not \(2, 3\)"),
        (np.array([[0, 0, 0], [0, 0, np.nan], [0, 0, 0]]), r"action\[1, 2\] is nan"),
        ("left", "array of numbers"),
    ],
)
def test_bad_actions_are_refused_before_any_world_moves(action, says):
    env = make("Hopper")
    env.reset(seed=0)
    before = [world.data.qpos.copy() for world in env.worlds]
    with pytest.raises(InvalidAction, match=says):
        env.step(action)
    for world, qpos in zip(env.worlds, before, strict=True):
        np.testing.assert_array_equal(world.data.qpos, qpos)


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({"torso_mass": [1.0, 2.0]}, InvalidParameter, r"shape \(3,\), one value per world, not of shape \(2,\)"),
        ({"torso_mass": [1.0, 2.0, 9.0]}, InvalidParameter, "torso_mass=9 is outside"),
        ({"torso_mas": 1.0}, UnknownId, "Nearest: torso_mass"),
        (3.0, InvalidParameter, "dict of names"),
    ],
)
def test_bad_values_are_refused_before_any_world_changes(values, error, says):
    with pytest.raises(error, match=says):
        make("Hopper", parameters=values)
    env = make("Hopper")
    env.reset(seed=0, options={"parameters": {"torso_mass": 0.5}})
    for attempt in (lambda: env.reset(options={"parameters": values}), lambda: env.set_parameters(values)):
        with pytest.raises(error, match=says):
            attempt()
        np.testing.assert_array_equal(env.parameters["torso_mass"], [0.5, 0.5, 0.5])


def test_bad_counts_and_seeds_are_refused():
    with pytest.raises(InvalidParameter, match="at least 1"):
        make("Hopper", threads=0)
    with pytest.raises(ValueError, match="3 sub-environments but 2 seeds"):
        make("Hopper").reset(seed=[1, 2])
