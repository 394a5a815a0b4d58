"""The edited model against MuJoCo's own compiler, against the untouched model, and contact by contact."""

import gymnasium as gym
import mujoco
import numpy as np
import pytest

import agentgym
from agentgym.envs.robust.presets import TASKS, uncertainty_set

assert agentgym
MASSES = [(task, name) for task in TASKS for name in TASKS[task].sets if name.endswith("_mass")]
DERIVED = (
    "body_mass",
    "body_inertia",
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
    "dof_M0",
    "actuator_acc0",
)


def make(task, **arguments):
    return gym.make(f"agentgym/Robust{task}-v0", **arguments).unwrapped


def model_bytes(model):
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer


def recompiled(path, body, factor):
    """The task's model compiled anew with one body's density scaled."""
    spec = mujoco.MjSpec.from_file(path)
    if spec.compiler.settotalmass > 0:  # HalfCheetah: the compiler would rescale every body to keep the total
        total, spec.compiler.settotalmass = spec.compiler.settotalmass, -1
        unscaled = mujoco.MjSpec.from_file(path)
        unscaled.compiler.settotalmass = -1
        scale = total / unscaled.compile().body_mass.sum()
        for geom in spec.geoms:
            geom.density *= scale
    for geom in spec.body(body).geoms:
        geom.density *= factor
    return spec.compile()


@pytest.mark.parametrize(("task", "name"), MASSES)
def test_a_mass_edit_equals_compiling_with_another_density(task, name):
    env = make(task)
    body = env.uncertainty.known[name].body
    for value in env.parameter_ranges[name]:
        env.reset(seed=0, options={"parameters": {name: value}})
        truth = recompiled(env.fullpath, body, value / env.nominal_parameters[name])
        for field in DERIVED:
            np.testing.assert_allclose(getattr(env.model, field), getattr(truth, field), rtol=1e-12, err_msg=field)


@pytest.mark.parametrize("task", TASKS)
def test_the_model_is_restored_to_the_byte(task):
    """Every parameter at both ends, one after another and all at once, then nominal again."""
    env = make(task, forces="rarl")
    before = model_bytes(env.model)
    for end in (0, 1):
        for name, span in env.known_parameters.items():
            env.reset(seed=0, options={"parameters": {name: span[end]}})
            if "_force_" not in name and span[end] != env.nominal_parameters[name]:
                assert not np.array_equal(model_bytes(env.model), before), name
        env.reset(seed=0, options={"parameters": {n: s[end] for n, s in env.known_parameters.items()}})
    env.reset(seed=0, options={"parameters": {}})
    np.testing.assert_array_equal(model_bytes(env.model), before)


@pytest.mark.parametrize("task", [task for task in TASKS if TASKS[task].feet])
def test_the_friction_asked_for_is_the_friction_of_every_floor_contact(task):
    quiet = {} if task in ("HalfCheetah", "HumanoidStandup") else {"terminate_when_unhealthy": False}
    env = make(task, **quiet)
    floor = env.model.geom("floor").id
    actions = np.random.default_rng(0).uniform(-0.4, 0.4, (80, env.model.nu))
    for value in np.linspace(*env.known_parameters["friction"], 5):
        _, info = env.reset(seed=0, options={"parameters": {"friction": value}})
        assert info["contact_friction"] == value
        met = 0
        for action in actions:
            env.step(action)
            for contact in env.data.contact:
                if floor in contact.geom and contact.dim >= 3:
                    met += 1
                    assert contact.friction[0] == value
        assert met > 0


@pytest.mark.parametrize(("task", "contact"), [("Hopper", 2.0), ("Walker2d", 1.9), ("HalfCheetah", 0.4)])
def test_the_nominal_friction_is_the_one_of_the_contact(task, contact):
    env = make(task)
    _, info = env.reset(seed=0)
    assert env.nominal_parameters["friction"] == info["contact_friction"] == contact


def test_slope_and_gravity_combine():
    env = make("Hopper", parameters={"gravity": 5.0, "slope": 0.1})
    np.testing.assert_allclose(env.model.opt.gravity, [-5 * np.sin(0.1), 0, -5 * np.cos(0.1)], rtol=1e-15)


def test_a_given_friction_does_not_touch_the_torsional_and_rolling_terms():
    env = make("Hopper")
    before = env.model.geom_friction[:, 1:].copy()
    env.reset(options={"parameters": {"friction": 0.5}})
    np.testing.assert_array_equal(env.model.geom_friction[:, 1:], before)


@pytest.mark.parametrize("task", TASKS)
def test_sets_are_nested_and_largest_by_default(task):
    names = [f"{count}d" for count in range(1, len(TASKS[task].sets) + 1)]
    sets = [list(uncertainty_set(task, name)) for name in names]
    assert [len(each) for each in sets] == list(range(1, len(names) + 1))
    assert all(sets[-1][: len(each)] == each for each in sets)
    assert make(task).parameter_ranges == uncertainty_set(task, names[-1])


def test_half_cheetah_has_a_narrower_friction_range_in_the_one_parameter_set():
    assert uncertainty_set("HalfCheetah", "1d") == {"friction": (0.1, 3.0)}
    assert uncertainty_set("HalfCheetah", "2d")["friction"] == (0.1, 4.0)
