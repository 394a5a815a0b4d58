"""Kicks and drifting parameters: against the draws and the physics, gone when undone, refused where they do nothing."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

import agentgym  # noqa: F401 (registers its tasks)
from agentgym.envs.perturb import Gravity, ObservationNoise, ParameterDrift, StateKick, drifting_parameters, perturb
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.make import make_env
from agentgym.seeding import stream

CLASSIC = ["CartPole-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1"]


def rollout(env, steps, seed=0):
    env.action_space.seed(0)
    seen = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        seen.append(observation)
        if terminated or truncated:
            break
    return np.array(seen)


@pytest.mark.parametrize("env", [*CLASSIC, "InvertedPendulum-v5", "Hopper-v5"])
def test_a_kick_is_the_effects_own_draw(env):
    kicked, plain = make_env(env, perturbations=[{"type": "StateKick", "size": 0.1, "start": 2}]), make_env(env)
    many = make_env(env, perturbations=[{"type": "StateKick", "size": 0.1, "probability": 1.0}])
    np.testing.assert_array_equal(rollout(kicked, 2, seed=7), rollout(plain, 2, seed=7))
    for each in (many, plain):
        each.action_space.seed(0)
        each.reset(seed=7)
    draws = stream(7, "perturb", "StateKick", 0)
    draws.random()  # whether
    base = plain.unwrapped
    if hasattr(base, "data"):
        base.data.qvel += 0.1 * draws.standard_normal(len(base.data.qvel))
    else:
        places = {"CartPole-v1": [1, 3], "Acrobot-v1": [2, 3]}.get(env, [1])
        unit = 0.01 if env.startswith("MountainCar") else 1.0
        state = np.array(base.state, dtype=np.float64)
        state[places] += 0.1 * unit * draws.standard_normal(len(places))
        base.state = state
    action = plain.action_space.sample()
    seen, *_, info = many.step(action)
    np.testing.assert_allclose(seen, plain.step(action)[0], rtol=1e-12)
    assert info["perturbed"] == {"StateKick": True}
    assert not np.array_equal(rollout(many, 3, seed=1), rollout(many, 3, seed=2))
    np.testing.assert_array_equal(rollout(many, 5, seed=1), rollout(many, 5, seed=1))


def test_kicks_come_as_often_as_stated():
    env = make_env("Pendulum-v1", {"max_episode_steps": 2000},
                   [{"type": "StateKick", "size": 0.1, "probability": 0.1}])  # fmt: skip
    env.reset(seed=0)
    fired = sum(env.step(np.zeros(1, np.float32))[4]["perturbed"]["StateKick"] for _ in range(2000))
    assert 200 - 4 * 13.4 < fired < 200 + 4 * 13.4


@pytest.mark.parametrize("env", [*CLASSIC, "Hopper-v5", "InvertedPendulum-v5"])
def test_a_drift_is_the_task_with_the_other_parameter_from_its_step_on(env):
    plain = make_env(env)
    clean = rollout(plain, 12)
    parameters = drifting_parameters(plain)
    assert parameters
    for parameter in parameters:
        drift = {"type": "ParameterDrift", "parameter": parameter, "amount": 0.5, "period": 6}
        if env == "MountainCar-v0" and parameter == "gear":
            drift["period"] = 2
        drifting = make_env(env, perturbations=[drift])
        seen = rollout(drifting, 12)
        steps = drift["period"] + 1  # observations until the first changed step
        np.testing.assert_array_equal(seen[:steps], clean[:steps])
        if len(seen) > steps:
            assert not np.array_equal(seen[steps:], clean[steps:]), parameter
        np.testing.assert_array_equal(rollout(drifting, 12), seen)  # an episode starts with the parameter's own value
        base = drifting.unwrapped
        drifting.close()
        fresh = make_env(env).unwrapped
        if hasattr(base, "model"):
            for name in ("body_mass", "dof_damping", "geom_friction", "actuator_gear", "body_subtreemass"):
                np.testing.assert_array_equal(getattr(base.model, name), getattr(fresh.model, name))
            np.testing.assert_array_equal(base.model.opt.gravity, fresh.model.opt.gravity)
        else:
            for name in vars(fresh):
                if isinstance(getattr(fresh, name), float):
                    assert getattr(base, name) == getattr(fresh, name), name


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [("sudden", [0, 0, 1, 1, 1, 1, 1]), ("cyclic", [0, 0, 1, 1, 0, 0, 1]), ("gradual", [0, 0, 0.25, 0.5, 0.75, 1, 1])],
)
def test_schedules(schedule, wanted):
    drift = ParameterDrift("gravity", 0.4, schedule, period=2, width=4)
    env = perturb(gymnasium.make("Hopper-v5"), drift)
    env.reset(seed=0)
    own = -9.81
    for concept in wanted:
        info = env.step(np.zeros(3))[4]
        assert env.unwrapped.model.opt.gravity[2] == pytest.approx(own * (1 + 0.4 * concept))
        assert info["perturbed"]["ParameterDrift"] == (concept > 0)


def test_drifts_and_constant_scales_multiply_in_either_order():
    drift = ParameterDrift("gravity", 1.0, period=1)
    for stack in ([drift, Gravity(0.5)], [Gravity(0.5), drift]):
        env = perturb(gymnasium.make("Hopper-v5"), *stack, ObservationNoise(std=0.1))
        for _ in range(2):
            env.reset(seed=0)
            assert env.unwrapped.model.opt.gravity[2] == pytest.approx(-9.81 * 0.5)
            env.step(np.zeros(3))
            env.step(np.zeros(3))
            assert env.unwrapped.model.opt.gravity[2] == pytest.approx(-9.81)
        env.close()
        assert env.unwrapped.model.opt.gravity[2] == -9.81


def test_what_they_refuse():
    with pytest.raises(InvalidParameter, match="StateKick knows MuJoCo tasks"):
        make_env("agentgym/BernoulliBandit-v0", perturbations=[{"type": "StateKick"}])
    with pytest.raises(InvalidParameter, match="friction of InvertedPendulumEnv"):
        make_env("InvertedPendulum-v5", perturbations=[{"type": "ParameterDrift", "parameter": "friction"}])
    with pytest.raises(InvalidParameter, match="It knows none"):
        make_env("agentgym/RobustHopper-v0", perturbations=[{"type": "ParameterDrift"}])
    with pytest.raises(InvalidParameter, match="amount"):
        ParameterDrift(amount=-1.0)
    with pytest.raises(InvalidParameter, match="before they are batched"):
        perturb(SyncVectorEnv([lambda: gymnasium.make("Pendulum-v1")]), StateKick())
    with pytest.raises(UnknownId, match="StateKick"):
        make_env("Pendulum-v1", perturbations=[{"type": "StateKicks"}])
