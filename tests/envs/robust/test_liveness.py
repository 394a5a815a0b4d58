"""Every parameter moves the trajectory over its whole range; in RRLS's manner some do not."""

from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest

import agentgym
from agentgym.envs.robust.presets import BEYOND_THE_SETS, TASKS, force_names, uncertainty_set

assert agentgym
SETS = [(task, f"{d}d") for task in TASKS for d in range(1, len(TASKS[task].sets) + 1)]
# A robot that ends its episode in the air would hide what the floor does.
ENDLESS = {task: {"terminate_when_unhealthy": False} for task in ("Ant", "Hopper", "Walker2d")}


def make(task, **arguments):
    return gym.make(f"agentgym/Robust{task}-v0", **arguments, **ENDLESS.get(task, {})).unwrapped


def trajectory(env, parameters, steps, still=False):
    """Joint positions and velocities, so that masses shown in the observation do not count."""
    env.reset(seed=1, options={"parameters": parameters})
    rng = np.random.default_rng(0)
    states = []
    for _ in range(steps):
        action = rng.uniform(-0.4, 0.4, env.model.nu)
        env.step(0 * action if still else action)
        states.append(np.concatenate((env.data.qpos, env.data.qvel)))
    return np.array(states)


def alive(env, name, points, steps):
    """Which neighbouring pairs of an even grid over the range differ."""
    values = np.linspace(*env.known_parameters[name], points)
    runs = [trajectory(env, {name: value}, steps) for value in values]
    return [not np.array_equal(first, second) for first, second in pairwise(runs)]


@pytest.mark.parametrize(("task", "set_name"), SETS)
def test_every_parameter_of_every_set_is_alive_over_its_whole_range(task, set_name):
    env = make(task, uncertainty=set_name)
    assert env.parameter_ranges == uncertainty_set(task, set_name)
    for name in env.parameter_ranges:
        steps = 60 if name == "friction" else 10
        assert alive(env, name, points=11, steps=steps) == [True] * 10, name


@pytest.mark.parametrize("task", TASKS)
def test_every_rarl_force_is_alive_over_its_whole_range(task):
    env = make(task, forces="rarl")
    for name in force_names(task, "rarl"):
        assert env.parameter_ranges[name] == (-3.0, 3.0)
        assert alive(env, name, points=7, steps=5) == [True] * 6, name


@pytest.mark.parametrize("task", TASKS)
def test_what_lies_beyond_the_sets_is_alive_too(task):
    env = make(task)
    names = [*BEYOND_THE_SETS, *(["friction"] if TASKS[task].feet else [])]
    for name in names:
        steps = 60 if name == "friction" else 10
        assert alive(env, name, points=5, steps=steps) == [True] * 4, name


@pytest.mark.parametrize("task", TASKS)
def test_no_corner_of_the_largest_set_loses_the_state(task):
    env = make(task, forces="rarl")
    for end in (0, 1):
        env.reset(seed=0, options={"parameters": {n: s[end] for n, s in env.parameter_ranges.items()}})
        rng = np.random.default_rng(0)
        for _ in range(100):
            observation, *_, info = env.step(rng.uniform(env.action_space.low, env.action_space.high))
            assert np.isfinite(observation).all()
            assert "simulation_unstable" not in info


@pytest.mark.parametrize(("task", "dead_until"), [("Hopper", 2.0), ("Walker2d", 1.9)])
def test_rrls_friction_is_dead_until_the_floor_exceeds_the_foot(task, dead_until):
    env = make(task, compat="rrls")
    values = [0.1, 0.7, 1.3, dead_until, dead_until + 0.2, dead_until + 0.4]
    # Standing still, nothing but the feet meets the floor.
    runs = [trajectory(env, {"friction": value}, 25, still=True) for value in values]
    same = [np.array_equal(first, second) for first, second in pairwise(runs)]
    assert same == [True, True, True, False, False]
    assert env.reset(options={"parameters": {"friction": 0.1}})[1]["contact_friction"] == dead_until


def test_rrls_friction_of_half_cheetah_is_everywhere():
    assert all(alive(make("HalfCheetah", compat="rrls"), "friction", points=11, steps=20))


def test_rrls_masses_leave_inertia_and_derived_constants():
    env = make("Hopper", compat="rrls")
    inertia, weights = env.model.body_inertia.copy(), env.model.dof_invweight0.copy()
    env.reset(options={"parameters": {"torso_mass": 0.5}})
    assert env.model.body("torso").mass[0] == 0.5
    np.testing.assert_array_equal(env.model.body_inertia, inertia)
    np.testing.assert_array_equal(env.model.dof_invweight0, weights)


def test_rrls_defaults():
    pendulum, hopper = make("InvertedPendulum", compat="rrls"), make("Hopper", compat="rrls")
    assert pendulum.parameters["pole_mass"] == pendulum.nominal_parameters["cart_mass"]
    assert pendulum.parameters["cart_mass"] == pendulum.nominal_parameters["pole_mass"]
    assert pendulum.model.body("pole").mass[0] == pendulum.parameters["pole_mass"]
    assert hopper.parameters["friction"] == hopper.model.geom("floor").friction[0] == 0.7
    assert hopper.nominal_parameters["friction"] == 1.0
    hopper.reset(options={"parameters": {"friction": 1.0}})
    assert hopper.model.geom("floor").friction[0] == 1.0
