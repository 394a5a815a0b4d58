"""Edits of MuJoCo models: against recompiled models and physics, live where allowed, gone when undone."""

import copy
import gc
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

import agentgym  # noqa: F401 (registers its tasks)
from agentgym.envs.perturb import (
    ActuatorGain,
    BodyMass,
    ContactFriction,
    Gravity,
    JointDamping,
    ObservationNoise,
    RewardNoise,
    perturb,
)
from agentgym.errors import InvalidParameter

EFFECTS = [Gravity(0.5), BodyMass(1.5), JointDamping(3.0), ContactFriction(0.3), ActuatorGain(0.6)]
HOPPER = "Hopper-v5"
COMPARED = (
    "body_mass",
    "body_inertia",
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
    "dof_M0",
    "actuator_acc0",
    "actuator_gear",
    "dof_damping",
    "geom_friction",
)


def make(task: str = HOPPER, **kwargs: Any) -> gymnasium.Env:
    return gymnasium.make(task, **kwargs)


def snapshot(model: Any) -> dict[str, np.ndarray]:
    return {name: getattr(model, name).copy() for name in COMPARED} | {"gravity": model.opt.gravity.copy()}


def assert_same_model(one: dict, other: dict) -> None:
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def rollout(env: Any, steps: int = 60, seed: int = 0) -> np.ndarray:
    env.action_space.seed(0)
    states = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        states.append(observation)
        if np.any(terminated) or np.any(truncated):
            break
    return np.array(states)


@pytest.mark.parametrize("task", ["InvertedPendulum-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "HumanoidStandup-v5"])
@pytest.mark.parametrize("scale", [0.3, 4.0])
def test_body_mass_equals_recompiling_with_another_density(task: str, scale: float) -> None:
    env = make(task)
    spec = mujoco.MjSpec.from_file(env.unwrapped.fullpath)
    for geom in spec.geoms:
        geom.density *= scale
    expected = snapshot(spec.compile())
    perturbed = perturb(env, BodyMass(scale))
    perturbed.reset(seed=0)
    for name, value in snapshot(env.unwrapped.model).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-12, err_msg=name)


def test_gravity_is_what_a_falling_body_feels() -> None:
    env = perturb(make(reset_noise_scale=0.0), Gravity(0.25))
    env.reset(seed=0)
    data, model = env.unwrapped.data, env.unwrapped.model
    data.qpos[1] = 50.0  # far from the floor
    mujoco.mj_forward(model, data)
    data.ctrl[:] = 0
    mujoco.mj_step(model, data, nstep=100)
    centre_speed = data.qvel[1]
    assert centre_speed == pytest.approx(-0.25 * 9.81 * 100 * model.opt.timestep, rel=1e-3)


def test_gain_scales_what_the_motors_do() -> None:
    forces = []
    for scale in (1.0, 0.6):
        env = perturb(make(), ActuatorGain(scale))
        env.reset(seed=0)
        env.step(np.array([0.5, -0.2, 0.9], np.float32))
        forces.append(env.unwrapped.data.qfrc_actuator.copy())
    np.testing.assert_allclose(forces[1], 0.6 * forces[0], rtol=1e-12)


def test_damping_scales_the_passive_force() -> None:
    env = make("InvertedPendulum-v5")
    perturb_env = perturb(env, JointDamping(3.0))
    perturb_env.reset(seed=0)
    data, model = env.unwrapped.data, env.unwrapped.model
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.qfrc_passive, -3.0 * data.qvel, rtol=1e-12)  # nominal damping of this model: 1


def test_friction_reaches_every_contact() -> None:
    contacts = []
    for scale in (1.0, 0.3):
        env = perturb(make("HalfCheetah-v5"), ContactFriction(scale))
        env.reset(seed=0)
        for _ in range(20):
            env.step(np.zeros(6, np.float32))
        data = env.unwrapped.data
        assert data.ncon > 0
        contacts.append({float(contact.friction[0]) for contact in data.contact})
    assert {round(0.3 * friction, 12) for friction in contacts[0]} == {round(friction, 12) for friction in contacts[1]}


DEAD = {
    ("Swimmer-v5", Gravity): "no joint of it feels its weight",
    ("Reacher-v5", Gravity): "no joint of it feels its weight",
    ("Pusher-v5", Gravity): r"opt\.gravity is zero",
    ("Swimmer-v5", JointDamping): "dof_damping is zero",
    **{
        (f"{task}-v5", ContactFriction): "no two of its geoms can touch with friction"
        for task in ("Swimmer", "Reacher", "Pusher", "InvertedPendulum", "InvertedDoublePendulum")
    },
}
TASKS = sorted(
    {task for task, _ in DEAD} | {f"{task}-v5" for task in ("Ant", "HalfCheetah", "Hopper", "Humanoid", "Walker2d")}
)


def run_on(env: gymnasium.Env, steps: int = 40) -> np.ndarray:
    """States with random actions, whether the robot has fallen or not."""
    env.action_space.seed(0)
    env.reset(seed=0)
    states = []
    for _ in range(steps):
        *_, info = env.step(env.action_space.sample())
        states.append(env.unwrapped.state_vector())
    assert all(info.get("perturbed", {}).values())
    return np.array(states)


@pytest.mark.parametrize("task", TASKS)
def test_each_effect_changes_the_trajectory_or_is_refused_as_dead(task: str) -> None:
    plain = run_on(make(task))
    for effect in EFFECTS:
        if why := DEAD.get((task, type(effect))):
            with pytest.raises(InvalidParameter, match=f"{type(effect).__name__} would change nothing in .*{why}"):
                perturb(make(task), effect)
        else:
            assert not np.array_equal(plain, run_on(perturb(make(task), effect))), type(effect).__name__


@pytest.mark.parametrize(("task", "effect"), DEAD, ids=str)
def test_what_is_refused_as_dead_is_dead(task: str, effect: Any) -> None:
    edited = make(task)
    effect(0.5).edit(edited.unwrapped.model)
    np.testing.assert_allclose(run_on(edited), run_on(make(task)), rtol=1e-9, atol=1e-12)


def test_nominal_is_gymnasiums_bit_for_bit_also_after_a_far_edit() -> None:
    untouched = rollout(make())
    env = make()
    before = snapshot(env.unwrapped.model)
    np.testing.assert_array_equal(rollout(perturb(env, *[type(effect)(1.0) for effect in EFFECTS])), untouched)
    far = perturb(env, *EFFECTS)
    assert not np.array_equal(rollout(far), untouched)
    del far
    gc.collect()
    assert_same_model(snapshot(env.unwrapped.model), before)
    np.testing.assert_array_equal(rollout(env), untouched)


def test_close_undoes() -> None:
    env = make()
    before = snapshot(env.unwrapped.model)
    perturbed = perturb(env, *EFFECTS)
    perturbed.reset(seed=0)
    assert env.unwrapped.model.opt.gravity[2] == 0.5 * before["gravity"][2]
    perturbed.close()
    assert_same_model(snapshot(env.unwrapped.model), before)


def test_a_sweep_over_one_environment_equals_fresh_environments() -> None:
    """The obvious loop: the next wrapper is made while the last one still lives."""
    env = make()
    for scale in (0.5, 2.0, 1.0, 0.5):
        perturbed = perturb(env, BodyMass(scale), Gravity(scale))
        np.testing.assert_array_equal(rollout(perturbed), rollout(perturb(make(), BodyMass(scale), Gravity(scale))))


def test_two_wrappers_of_one_environment_take_turns() -> None:
    env = make()
    light, heavy = perturb(env, BodyMass(0.5)), perturb(env, BodyMass(2.0))
    alone = {scale: rollout(perturb(make(), BodyMass(scale))) for scale in (0.5, 2.0)}
    for perturbed, scale in ((light, 0.5), (heavy, 2.0), (light, 0.5)):
        np.testing.assert_array_equal(rollout(perturbed), alone[scale])


def test_nesting_multiplies_and_unwinds() -> None:
    env = make()
    before = snapshot(env.unwrapped.model)
    inner = perturb(env, BodyMass(2.0), ObservationNoise(0.1))
    outer = perturb(inner, RewardNoise(1.0), BodyMass(1.5))
    nested = rollout(outer)
    np.testing.assert_allclose(env.unwrapped.model.body_mass, 3.0 * before["body_mass"])
    outer.reset()  # resets the inner one too, which must not take the outer one's edit back
    np.testing.assert_allclose(env.unwrapped.model.body_mass, 3.0 * before["body_mass"])
    flat = perturb(make(), BodyMass(2.0), ObservationNoise(0.1), RewardNoise(1.0), BodyMass(1.5))
    np.testing.assert_array_equal(nested, rollout(flat))
    del outer
    gc.collect()
    np.testing.assert_array_equal(env.unwrapped.model.body_mass, 2.0 * before["body_mass"])
    inner.close()
    assert_same_model(snapshot(env.unwrapped.model), before)


def test_live_state_is_not_disturbed_by_undoing() -> None:
    env = make()
    perturbed = perturb(env, BodyMass(2.0))
    perturbed.reset(seed=0)
    perturbed.step(np.zeros(3, np.float32))
    qpos = env.unwrapped.data.qpos.copy()
    del perturbed
    gc.collect()
    np.testing.assert_array_equal(env.unwrapped.data.qpos, qpos)


def test_batched_worlds_equal_single_ones() -> None:
    single = perturb(make(), *EFFECTS, ObservationNoise(0.1))
    base = SyncVectorEnv([make] * 2)
    vector = perturb(base, *EFFECTS, ObservationNoise(0.1))
    seen = [vector.reset(seed=3)[0]]
    one = [single.reset(seed=4)[0]]
    single.action_space.seed(0)
    for _ in range(30):
        action = single.action_space.sample()
        observations, *_, infos = vector.step(np.stack([action] * 2))
        seen.append(observations)
        observation, _, terminated, *_ = single.step(action)
        one.append(observation)
        if terminated:
            single.reset()
            break
    np.testing.assert_array_equal(np.array(seen)[:, 1], one)
    assert infos["perturbed"]["BodyMass"].tolist() == [True, True]
    vector.close()
    assert_same_model(snapshot(base.envs[0].unwrapped.model), snapshot(make().unwrapped.model))


def test_edits_inside_and_outside_a_batch_survive_its_autoreset() -> None:
    base = SyncVectorEnv([lambda: perturb(make(), BodyMass(2.0))] * 2)
    vector = perturb(base, BodyMass(1.5))
    vector.action_space.seed(0)
    vector.reset(seed=0)
    ends = 0
    for _ in range(200):
        _, _, terminations, *_ = vector.step(vector.action_space.sample())
        ends += terminations.sum()
    assert ends > 2
    np.testing.assert_allclose(base.envs[0].unwrapped.model.body_mass, 3.0 * make().unwrapped.model.body_mass)


def test_copies_of_a_perturbed_environment_are_perturbed() -> None:
    """Gymnasium rebuilds a MuJoCo environment that is copied; the edits are made again at its reset."""
    env = perturb(make(), *EFFECTS)
    np.testing.assert_array_equal(rollout(copy.deepcopy(env)), rollout(env))


def test_worlds_out_of_reach_are_refused() -> None:
    parallel = AsyncVectorEnv([make])
    try:
        with pytest.raises(InvalidParameter, match=r"AsyncVectorEnv does not expose.*env_fns"):
            perturb(parallel, Gravity(0.5))
    finally:
        parallel.close()
    inside = AsyncVectorEnv([lambda: perturb(make(), Gravity(0.5))])
    try:
        observations, infos = inside.reset(seed=0)
        assert infos["perturbed"]["Gravity"].tolist() == [True]
        np.testing.assert_array_equal(observations[0], perturb(make(), Gravity(0.5)).reset(seed=0)[0])
    finally:
        inside.close()


def parametric() -> gymnasium.Env:
    from gymnasium.envs.mujoco.hopper_v5 import HopperEnv

    class ParametricHopper(HopperEnv):
        def set_parameters(self, torso: float) -> None:
            self.model.body_mass[1] = torso

        def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
            if options:
                self.set_parameters(**options)
            return super().reset(seed=seed)

    return ParametricHopper()


def test_an_environment_that_writes_over_an_edit_is_refused() -> None:
    env = perturb(parametric(), BodyMass(2.0), Gravity(0.5))
    env.reset(seed=0)
    np.testing.assert_allclose(env.unwrapped.model.body_mass, 2.0 * make().unwrapped.model.body_mass)
    with pytest.raises(InvalidParameter, match=r"ParametricHopper sets body_mass itself .*BodyMass scaled"):
        env.reset(seed=0, options={"torso": 5.0})
    gravity_only = perturb(parametric(), Gravity(0.5))
    gravity_only.reset(seed=0, options={"torso": 5.0})
    assert gravity_only.unwrapped.model.body_mass[1] == 5.0
    gravity_only.step(np.zeros(3, np.float32))
    env.unwrapped.set_parameters(torso=4.0)
    env.close()
    assert env.unwrapped.model.body_mass[1] == 4.0  # theirs stays
    assert env.unwrapped.model.opt.gravity[2] == -9.81  # ours goes


def test_on_our_robust_tasks() -> None:
    """Scales go on top of parameters that stay; parameters that change later would lose them, and are refused."""
    options = {"parameters": {"torso_mass": 2.0}}
    base = gymnasium.make("agentgym/RobustHopper-v0")
    base.reset(options=options)
    mass = base.unwrapped.model.body_mass.copy()
    env = perturb(base, BodyMass(1.5), Gravity(0.5))
    rollout(env)
    np.testing.assert_array_equal(base.unwrapped.model.body_mass, 1.5 * mass)
    env.reset(options=options)  # the same values again: nothing is written over
    with pytest.raises(InvalidParameter, match=r"RobustHopperEnv sets body_mass itself .*BodyMass scaled"):
        env.reset(options={"parameters": {"torso_mass": 1.0}})
    env.close()
    fresh = gymnasium.make("agentgym/RobustHopper-v0")
    fresh.reset(options={"parameters": {"torso_mass": 1.0}})
    assert_same_model(snapshot(base.unwrapped.model), snapshot(fresh.unwrapped.model))
