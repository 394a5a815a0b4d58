"""The single door: Gymnasium's task at nominal values, and what parameters, draws and forces do to it."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

import agentgym
from agentgym.envs.robust.presets import TASKS
from agentgym.errors import InvalidAction, InvalidParameter, UnknownId

assert agentgym
ENDING = [task for task in TASKS if task not in ("HalfCheetah", "HumanoidStandup")]


def make(task, **arguments):
    return gym.make(f"agentgym/Robust{task}-v0", **arguments)


def rollout(env, steps, seed=7, options=None):
    """Observations, rewards and ends of some episodes, all with one action stream."""
    observation, _ = env.reset(seed=seed, options=options)
    rng = np.random.default_rng(seed)
    trace = [observation]
    for _ in range(steps):
        action = rng.uniform(env.action_space.low, env.action_space.high).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        trace.append(np.append(observation, [reward, terminated, truncated]))
        if terminated or truncated:
            trace.append(env.reset()[0])
    return trace


def assert_equal(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def differ(first, second):
    return any(not np.array_equal(one, other) for one, other in zip(first, second, strict=False))


@pytest.mark.parametrize("task", TASKS)
def test_nominal_is_gymnasium_bit_for_bit_also_after_a_far_edit_and_back(task):
    truth = rollout(gym.make(f"{task}-v5"), 300)
    env = make(task)
    assert_equal(rollout(env, 300), truth)
    far = {name: span[1] for name, span in env.unwrapped.parameter_ranges.items()}
    assert differ(rollout(env, 100, options={"parameters": far}), truth)
    assert_equal(rollout(env, 300, options={"parameters": {}}), truth)
    rollout(env, 20, options={"parameters": far})
    assert_equal(rollout(env, 300, options={"parameters": env.unwrapped.nominal_parameters}), truth)


@pytest.mark.parametrize("task", [task for task in ENDING if task != "InvertedPendulum"])
def test_nominal_is_gymnasium_also_where_robots_may_lie_on_the_floor(task):
    quiet = {"terminate_when_unhealthy": False}
    env = make(task, **quiet)
    nominal = env.unwrapped.nominal_parameters
    assert_equal(rollout(env, 300, options={"parameters": nominal}), rollout(gym.make(f"{task}-v5", **quiet), 300))


@pytest.mark.parametrize("task", TASKS)
def test_walking_a_grid_equals_a_fresh_environment_per_cell(task):
    walker = make(task)
    model = walker.unwrapped.model
    rng = np.random.default_rng(5)
    for _ in range(4):
        cell = {name: rng.uniform(*span) for name, span in walker.unwrapped.known_parameters.items()}
        fresh = make(task, parameters=cell)
        assert_equal(rollout(walker, 40, options={"parameters": cell}), rollout(fresh, 40))
    assert walker.unwrapped.model is model


@pytest.mark.parametrize("task", TASKS)
def test_spaces_metadata_and_infos_are_the_tasks(task):
    ours, theirs = make(task, render_mode="rgb_array"), gym.make(f"{task}-v5", render_mode="rgb_array")
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata == theirs.metadata
    assert ours.render_mode == "rgb_array"
    assert ours.unwrapped.observation_structure == theirs.unwrapped.observation_structure
    assert ours.spec.max_episode_steps == theirs.spec.max_episode_steps == 1000
    (_, ours_info), (_, theirs_info) = ours.reset(seed=0), theirs.reset(seed=0)
    extra = {"parameters"} | ({"contact_friction"} if TASKS[task].feet else set())
    assert set(ours_info) - set(theirs_info) == extra
    action = ours.action_space.sample() * 0
    assert set(ours.step(action)[4]) - set(theirs.step(action)[4]) == extra


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.filterwarnings("ignore")
def test_checkers_pass(task):
    for arguments in ({}, {"randomize": "uniform", "schedule": {"gravity": "random_walk"}, "forces": "rarl"}):
        gymnasium_check(make(task, **arguments).unwrapped, skip_render_check=True)
        sb3_check(make(task, **arguments))


def test_given_values_stay_until_others_are_given_and_replace_them_whole():
    env = make("Hopper", parameters={"torso_mass": 1.0})
    nominal = env.unwrapped.nominal_parameters

    def values(**options):
        return env.reset(seed=0, **options)[1]["parameters"]

    assert values() == {"friction": 2.0, "torso_mass": 1.0, "thigh_mass": nominal["thigh_mass"]}
    given = {"friction": 0.5, "thigh_mass": 2.0}
    assert values(options={"parameters": given}) == {**given, "torso_mass": 1.0}
    assert values() == values(options=None) == values(options={}) == {**given, "torso_mass": 1.0}
    assert values(options={"parameters": {"friction": 0.7}})["thigh_mass"] == nominal["thigh_mass"]
    assert values(options={"parameters": {"torso_mass": None}})["torso_mass"] == nominal["torso_mass"]
    assert values(options={"parameters": {}})["torso_mass"] == 1.0
    assert env.unwrapped.model.body("torso").mass[0] == 1.0


def test_values_are_in_place_before_the_first_observation():
    env = make("HumanoidStandup")
    light = env.reset(seed=0, options={"parameters": {"torso_mass": 1.0}})[0]
    assert light[54] == 1.0  # the mass itself stands in cinert
    hidden = make("HumanoidStandup", include_cinert_in_observation=False, include_cvel_in_observation=False)
    first = hidden.reset(seed=0, options={"parameters": {"torso_mass": 1.0}})[0]
    np.testing.assert_array_equal(first, hidden.reset(seed=0, options={"parameters": {}})[0])


def test_parameters_beyond_the_set_are_taken_and_reported():
    env = make("Hopper", uncertainty="1d", parameters={"thigh_mass": 2.0, "gravity": 5.0})
    assert env.reset(seed=0)[1]["parameters"] == {"friction": 2.0, "thigh_mass": 2.0, "gravity": 5.0}


def test_draws_are_seeded_redrawn_and_apart_from_the_global_generator():
    env = make("Ant", randomize="uniform")

    def draws(seed):
        return [env.reset(seed=seed if first else None)[1]["parameters"] for first in (True, False, False)]

    np.random.seed(0)  # noqa: NPY002
    first = draws(3)
    np.random.seed(1)  # noqa: NPY002
    assert draws(3) == first
    assert draws(4) != first
    assert first[0] != first[1] != first[2]


def test_draws_are_uniform_over_the_set_and_leave_fixed_values():
    env = make("InvertedPendulum", randomize="uniform").unwrapped
    fixed = make("InvertedPendulum", randomize="uniform", parameters={"pole_mass": 7.0}).unwrapped
    env.reset(seed=0)
    fixed.reset(seed=0)
    drawn = np.array([list(env.reset()[1]["parameters"].values()) for _ in range(2000)])
    beside = np.array([list(fixed.reset()[1]["parameters"].values()) for _ in range(2000)])
    lows, highs = np.array(list(env.parameter_ranges.values())).T
    uniform = (drawn - lows) / (highs - lows)
    assert ((uniform >= 0) & (uniform <= 1)).all()
    for column in uniform.T:  # Kolmogorov-Smirnov distance, 1 in 10^6 beyond
        distance = np.abs(np.sort(column) - (np.arange(2000) + 0.5) / 2000).max()
        assert distance < 2.7 / np.sqrt(2000)
    assert abs(np.corrcoef(uniform.T)[0, 1]) < 0.1
    assert (beside[:, 0] == 7.0).all()
    np.testing.assert_array_equal(beside[:, 1], drawn[:, 1])


def test_an_unseeded_environment_draws_differently_each_time():
    values = [make("Hopper", randomize="uniform").reset()[1]["parameters"]["friction"] for _ in range(3)]
    assert len(set(values)) == 3


@pytest.mark.parametrize("task", TASKS)
def test_equal_seeds_give_bit_equal_rollouts_with_everything_on(task):
    arguments = {"randomize": "uniform", "schedule": {"slope": "random_walk"}, "forces": "rarl"}
    first = rollout(make(task, **arguments), 120)
    assert_equal(rollout(make(task, **arguments), 120), first)
    assert differ(rollout(make(task, **arguments), 120, seed=8), first)


def test_forces_act_in_every_step_and_after_resets():
    """Against Gymnasium's own task with the force written by hand before each step."""
    ours = make("Hopper", parameters={"foot_force_x": 2.0, "foot_force_z": -1.0})
    theirs = gym.make("Hopper-v5")
    foot = theirs.unwrapped.model.body("foot").id
    for seed in (0, 1):
        np.testing.assert_array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0])
        for _ in range(15):
            theirs.unwrapped.data.xfrc_applied[foot, :3] = (2.0, 0.0, -1.0)
            action = np.zeros(3, np.float32)
            np.testing.assert_array_equal(ours.step(action)[0], theirs.step(action)[0])
            assert list(ours.unwrapped.data.xfrc_applied[foot, :3]) == [2.0, 0.0, -1.0]


def test_other_bodies_can_be_pushed_within_a_bound_of_ones_own():
    env = make("HalfCheetah", uncertainty="1d", forces={"front_foot": 20.0})
    pushed = ["front_foot_force_x", "front_foot_force_z"]
    assert list(env.unwrapped.parameter_ranges) == ["friction", *pushed]
    env.reset(seed=0, options={"parameters": {"front_foot_force_z": 20.0}})
    env.step(np.zeros(6, np.float32))
    assert env.unwrapped.data.xfrc_applied[env.unwrapped.model.body("ffoot").id, 2] == 20.0


def test_an_adversary_sets_parameters_within_the_episode():
    env = make("Hopper", forces="rarl").unwrapped
    env.reset(seed=0)
    env.set_parameters({"foot_force_x": 3.0, "torso_mass": 1.0})
    info = env.step(np.zeros(3))[4]
    assert info["parameters"]["foot_force_x"] == 3.0
    assert env.data.xfrc_applied[env.model.body("foot").id, 0] == 3.0
    assert env.model.body("torso").mass[0] == 1.0
    info = env.reset()[1]
    assert info["parameters"]["foot_force_x"] == 0.0
    assert info["parameters"]["torso_mass"] == env.nominal_parameters["torso_mass"]


def test_a_copy_keeps_its_parameters():
    env = make("Hopper", parameters={"friction": 0.5}, reset_noise_scale=0.01)
    env.reset(seed=0, options={"parameters": {"torso_mass": 1.0}})
    twin = copy.deepcopy(env)
    assert twin.unwrapped.parameters == env.unwrapped.parameters
    assert twin.unwrapped.model.body("torso").mass[0] == 1.0
    twin.reset(seed=0)
    assert_equal(rollout(twin, 50), rollout(env, 50))
    twin.reset(options={"parameters": {"torso_mass": 2.0}})
    assert env.unwrapped.model.body("torso").mass[0] == 1.0


@pytest.mark.parametrize("task", ["HumanoidStandup", "Ant", "InvertedPendulum"])
def test_a_lost_state_is_observed_as_numbers(task):
    env = make(task, check_range=False, parameters={"gravity": 1e30})
    env.reset(seed=0)
    observation, reward, terminated, _, info = env.step(np.zeros(env.action_space.shape))
    assert (reward, terminated, info["simulation_unstable"]) == (0.0, True, True)
    assert np.isfinite(observation).all()


def test_a_lost_state_ends_the_episode_and_says_so():
    env = make("Hopper", forces={"torso": 1.0}, check_range=False)
    env.reset(seed=0, options={"parameters": {"torso_force_x": 1e13}})
    _, reward, terminated, _, info = env.step(np.zeros(3, np.float32))
    assert (reward, terminated, info["simulation_unstable"]) == (0.0, True, True)
    env.reset(seed=0, options={"parameters": {}})
    assert "simulation_unstable" not in env.step(np.zeros(3, np.float32))[4]


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ([0.0, np.nan, 0.0], r"RobustHopper: action\[1\] is nan"),
        ([0.0, 0.0, np.inf], r"action\[2\] is inf"),
        ([0.0, 0.0], r"shape \(3,\), not \(2,\)"),
        ([[0.0, 0.0, 0.0]], r"shape \(3,\), not \(1, 3\)"),
        ("left", "array of numbers"),
        (None, "array of numbers"),
        ([[0.0], [0.0, 0.0]], "array of numbers"),
    ],
)
def test_bad_actions_are_refused_and_change_nothing(action, says):
    env = make("Hopper").unwrapped
    env.reset(seed=0)
    before = env.data.qpos.copy()
    with pytest.raises(InvalidAction, match=says):
        env.step(action)
    np.testing.assert_array_equal(env.data.qpos, before)


BAD_VALUES = [
    ({"torso_mas": 1.0}, UnknownId, "Nearest: torso_mass"),
    ({"torso_mass": 5.0}, InvalidParameter, r"outside its range \[0.1, 3\].*check_range=False"),
    ({"torso_mass": -1.0}, InvalidParameter, "not possible"),
    ({"torso_mass": float("nan")}, InvalidParameter, "finite number"),
    ({"torso_mass": "heavy"}, InvalidParameter, "finite number"),
    ([1.0], InvalidParameter, "dict of names"),
]


@pytest.mark.parametrize(("values", "error", "says"), BAD_VALUES)
def test_bad_values_are_refused_and_change_nothing(values, error, says):
    with pytest.raises(error, match=says):
        make("Hopper", parameters=values)
    env = make("Hopper").unwrapped
    env.reset(seed=0, options={"parameters": {"friction": 0.5}})
    for attempt in (lambda: env.reset(options={"parameters": values}), lambda: env.set_parameters(values)):
        with pytest.raises(error, match=says):
            attempt()
        assert env.parameters["friction"] == 0.5
    assert env.reset()[1]["parameters"]["friction"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"uncertainty": "4d"}, UnknownId, "Nearest: 3d, 2d, 1d"),
        ({"randomize": "normal"}, InvalidParameter, "uniform"),
        ({"compat": "m2td3"}, InvalidParameter, "rrls"),
        ({"forces": "wind"}, InvalidParameter, "rarl"),
        ({"forces": {"tors": 1.0}}, UnknownId, "Nearest: torso"),
        ({"forces": {"torso": -1.0}}, InvalidParameter, "positive"),
        ({"schedule": "linea"}, UnknownId, "Nearest: linear"),
        ({"schedule": {"torso_mas": "linear"}}, UnknownId, "torso_mass"),
        ({"schedule": {"friction": "linear"}, "parameters": {"friction": 1.0}}, InvalidParameter, "drop one"),
        ({"parameters": {"friction": "1.0"}}, InvalidParameter, "friction .*finite number"),
        ({"parameters": {"friction": True}}, InvalidParameter, "friction .*finite number"),
        ({"parameters": {"torso_mass": 1e31}, "check_range": False}, InvalidParameter, "the maximum is"),
        ({"check_range": "no"}, InvalidParameter, "check_range .*True or False"),
        ({"forces": {"torso": "3"}}, InvalidParameter, "torso .*finite number"),
        ({"forward_reward_weight": float("nan")}, InvalidParameter, "forward_reward_weight"),
        ({"reset_noise_scale": -0.1}, InvalidParameter, "reset_noise_scale"),
        ({"healthy_z_range": (1.0, float("nan"))}, InvalidParameter, "healthy_z_range"),
        ({"healthy_z_range": 0.7}, InvalidParameter, "healthy_z_range .*two numbers"),
        ({"frame_skip": 2.5}, InvalidParameter, "frame_skip .*whole number"),
        ({"terminate_when_unhealthy": "yes"}, InvalidParameter, "terminate_when_unhealthy"),
        ({"reset_noise_scal": 0.1}, UnknownId, "reset_noise_scale"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        make("Hopper", **arguments)


def test_inverted_pendulum_has_no_third_parameter():
    with pytest.raises(UnknownId, match="Nearest: 2d, 1d"):
        make("InvertedPendulum", uncertainty="3d")


def test_nominal_values_outside_the_published_box_are_accepted():
    env = make("Hopper").unwrapped
    low, high = env.parameter_ranges["torso_mass"]
    assert not low <= env.nominal_parameters["torso_mass"] <= high
    env.reset(options={"parameters": {"torso_mass": env.nominal_parameters["torso_mass"]}})


def test_check_range_off_lets_larger_values_through_but_not_impossible_ones():
    env = make("Hopper", check_range=False)
    assert env.reset(options={"parameters": {"torso_mass": 9.0}})[1]["parameters"]["torso_mass"] == 9.0
    with pytest.raises(InvalidParameter, match="not possible"):
        env.reset(options={"parameters": {"torso_mass": 0.0}})
