"""The doors: contracts of Gymnasium and PettingZoo, equality of batch and single, faults, controllers, bad input."""

import random
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import psutil
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test

import agentgym
from agentgym.agents import SharedPPO
from agentgym.agents.marl.layout import Layout
from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.sensors import Columns
from agentgym.envs.swarm.vector import SwarmVectorEnv
from agentgym.errors import InvalidAction, InvalidParameter, UnknownId
from agentgym.evaluation import evaluate
from agentgym.evaluation.suites.swarm import SwarmSuite

SMALL: dict[str, Any] = {"agents": 150, "seconds": 2.0}


def rollout(batch: SwarmVectorEnv, seed: Any, steps: int = 12, scale: float = 0.3) -> list[np.ndarray]:
    seen = [batch.reset(seed=seed)[0]]
    for step in range(steps):
        actions = np.random.default_rng(step).uniform(-scale, scale, batch.single_action_space.shape)
        observations, rewards, _, _, _ = batch.step(np.repeat(actions[None], batch.num_envs, axis=0))
        seen += [observations, rewards]
    return seen


@pytest.mark.parametrize("preset", ["nozzle", "obstacles", "coverage"])
def test_a_batch_equals_singles_bit_for_bit(preset: str) -> None:
    faults = {"noise": 0.1, "wind": 1.0, "faulty": 0.1, "adversarial": 0.05, "dropout": 0.3, "delay": 2}
    settings = {**SMALL, **faults, "agents": 200}
    together = rollout(SwarmVectorEnv(3, preset, threads=2, **settings), 5)
    for world in range(3):
        alone = rollout(SwarmVectorEnv(1, preset, **settings), 5 + world)
        for one, all_ in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0], all_[world])
    assert (together[0][0] != together[0][1]).any()


def test_gymnasium_accepts_it() -> None:
    for settings in (SMALL, {**SMALL, "pooled": True}):
        env = gym.make("agentgym/Swarm-v0", **settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unbounded observations
            check_env(env.unwrapped, skip_render_check=True)
        assert env.spec is not None
        assert env.spec.max_episode_steps == env.unwrapped.time_limit  # type: ignore[attr-defined]


def test_pettingzoo_accepts_it_and_it_is_the_batch() -> None:
    env = agentgym.parallel_env("agentgym/Swarm-v0", **SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parallel_api_test(env, num_cycles=6)
    batch = SwarmVectorEnv(1, **SMALL)
    seen, _ = env.reset(seed=3)
    observation, _ = batch.reset(seed=3)
    actions = np.random.default_rng(0).uniform(-1, 1, batch.single_action_space.shape).astype(np.float32)
    for _ in range(3):
        seen, rewards, ended, cut, infos = env.step(dict(zip(env.agents, actions, strict=True)))
        observation, _, _, _, told = batch.step(actions[None])
    np.testing.assert_array_equal(np.stack(list(seen.values())), observation[0])
    np.testing.assert_array_equal(list(rewards.values()), told["agent_rewards"][0])
    assert [info["inside"] for info in infos.values()] == told["agent_inside"][0].tolist()
    assert not any(ended.values()) and not any(cut.values())  # noqa: PT018


def test_shared_policies_take_it() -> None:
    batch = SwarmVectorEnv(2, **SMALL)
    layout = Layout.of_environment(batch)
    observation, _ = batch.reset(seed=0)
    assert layout.agents == batch.world.fluid.pool
    np.testing.assert_array_equal(layout.split(observation).reshape(observation.shape), observation)


def test_state_goes_on_bit_for_bit_in_another_batch() -> None:
    settings = {**SMALL, "noise": 0.1, "wind": 1.0, "delay": 1, "regime": "mixed"}
    one, other = SwarmVectorEnv(2, **settings), SwarmVectorEnv(2, **settings)
    rollout(one, 0, 8)
    other.reset(seed=9)
    other.set_state(one.get_state())
    for step in range(30):  # beyond the episode's end and its reset
        actions = np.random.default_rng(step).uniform(-0.2, 0.2, one.action_space.shape or ())
        for a, b in zip(one.step(actions)[:4], other.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(InvalidParameter):
        SwarmVectorEnv(2, **{**settings, "agents": 160}).set_state(one.get_state())


def test_seeds_of_worlds_and_global_generators() -> None:
    """Equal starts for two policies; the global generator is neither read nor moved."""
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]  # noqa: NPY002
    others = random.getstate(), torch.get_rng_state()
    batch = SwarmVectorEnv(2, **SMALL)
    first, _ = batch.reset(seed=[4, 4])
    np.testing.assert_array_equal(first[0], first[1])
    batch.step(np.ones(batch.action_space.shape or ()))
    again, _ = batch.reset(seed=[4, None])
    np.testing.assert_array_equal(again[0], first[0])
    assert (again[1] != first[1]).any()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]  # noqa: NPY002
    assert random.getstate() == others[0]
    assert torch.equal(torch.get_rng_state(), others[1])


def test_memory_is_flat_over_resets() -> None:
    batch, process = SwarmVectorEnv(1, agents=150, seconds=0.2), psutil.Process()
    for k in range(100):
        batch.reset(seed=k)
    before = process.memory_info().rss
    for k in range(1000):
        batch.reset(seed=k)
    assert process.memory_info().rss - before < 2e6  # 2 kB a reset would show


def test_observation_has_the_sph_controllers_commands_and_strict_ones_are_local() -> None:
    batch = SwarmVectorEnv(1, mode="strict", **SMALL)
    observation, _ = batch.reset(seed=0)
    columns, inside = Columns(2), batch.world.fluid.inside[0]
    told = observation[0, inside][:, columns.push] + observation[0, inside][:, columns.drag]
    np.testing.assert_allclose(told * batch.world.unit, batch.world.sensed()[0, inside], rtol=1e-5, atol=1e-5)
    assert (observation[0, ~inside] == 0).all()
    # With commands only, the SPH controller flies as actions of zeros fly with the fluid underneath
    strong: dict[str, Any] = {**SMALL, "acceleration": 2.0}  # no command is beyond what actions can say
    base, direct = SwarmVectorEnv(1, **strong), SwarmVectorEnv(1, residual_on="zero", **strong)
    seen = [each.reset(seed=1)[0] for each in (base, direct)]
    for _ in range(5):
        seen = [
            each.step(each.controllers["sph"].predict(o)[0])[0] for each, o in zip((base, direct), seen, strict=True)
        ]
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-4)


@pytest.mark.parametrize("name", ["zero", "sph", "boids", "potential-field"])
def test_controllers_fly(name: str) -> None:
    batch = SwarmVectorEnv(1, residual_on="zero", **SMALL)
    observation, _ = batch.reset(seed=0)
    total = 0.0
    for _ in range(batch.max_episode_steps or 0):
        action, _ = batch.controllers[name].predict(observation)
        observation, reward, _, _, infos = batch.step(action)
        total += float(reward[0])
    measures = infos["measures"]
    assert np.isfinite(total)
    assert measures["flux"][0] > 10
    assert (measures["effort"][0] == 0) == (name == "zero")


def test_faults_do_what_they_say() -> None:
    def command(**faults: Any) -> tuple[np.ndarray, SwarmVectorEnv]:
        batch = SwarmVectorEnv(1, residual_on="zero", **SMALL, **faults)
        batch.reset(seed=0)
        batch.step(np.full(batch.action_space.shape or (), 0.5))
        return batch.world.told[0] / batch.world.unit, batch

    clean, _ = command()
    assert (clean == 0.5).all()
    faulty, batch = command(faulty=0.2, adversarial=0.1)
    pool = batch.world.fluid.pool
    assert (faulty == 0).all(axis=1).sum() == round(0.2 * pool)
    assert (faulty == [-1, 0]).all(axis=1).sum() == round(0.1 * pool)
    late, batch = command(delay=1)
    assert (late == 0).all()
    batch.step(np.zeros(batch.action_space.shape or ()))
    assert (batch.world.told[0] / batch.world.unit == 0.5).all()
    _, blurred = command(noise=0.2)
    assert blurred.world.fluid["blur"][0].std() == pytest.approx(0.2 * blurred.world.fluid.spacing, rel=0.15)
    # Strength 0 is the clean world, bit for bit
    none = {"noise": 0.0, "wind": 0.0, "faulty": 0.0, "adversarial": 0.0, "dropout": 0.0, "delay": 0}
    for a, b in zip(
        rollout(SwarmVectorEnv(1, **SMALL), 0), rollout(SwarmVectorEnv(1, **SMALL, **none), 0), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    _, fallen = command(dropout=1.0)
    for _ in range((fallen.max_episode_steps or 0) - 2):
        fallen.step(np.zeros(fallen.action_space.shape or ()))
    assert fallen.world.fluid.inside.sum() < 0.5 * fallen.setting.agents


def test_back_pressure_switches_the_regime() -> None:
    batch = SwarmVectorEnv(1, **SMALL)
    batch.reset(seed=0, options={"regime": "shock"})
    assert batch.world.fluid.stations[0, at.BACK] == pytest.approx(0.798)
    assert batch.world.fluid["velocities"][0, :, 0].max() > 6  # supersonic ahead of the shock
    batch.set_back_pressure(0.5)
    assert batch.world.fluid.stations[0, at.BACK] == 0.5
    batch.reset(options={"back_pressure": 0.9})
    assert batch.world.fluid.stations[0, at.BACK] == 0.9


def test_bad_input_is_named() -> None:
    for wrong, match in (
        ({"back_pressure": 1.2}, "stagnation"), ({"agents": 20}, "too narrow"), ({"throat": 12.0}, "wider"),
        ({"obstacles": 200}, "room for"), ({"faulty": 0.7, "adversarial": 0.7}, "shares"),
    ):  # fmt: skip
        with pytest.raises(InvalidParameter, match=match):
            SwarmVectorEnv(1, **{**SMALL, **wrong})  # type: ignore[arg-type]
    with pytest.raises(UnknownId, match="regime"):
        SwarmVectorEnv(1, regime="suub")
    with pytest.raises(UnknownId, match="agent"):
        SwarmVectorEnv(1, agnets=100)
    batch = SwarmVectorEnv(1, **SMALL)
    batch.reset(seed=0)
    action = np.zeros(batch.action_space.shape or ())
    action[0, 7, 1] = np.nan
    with pytest.raises(InvalidAction, match="7"):
        batch.step(action)
    with pytest.raises(InvalidParameter, match="stagnation"):
        batch.set_back_pressure(1.0)
    with pytest.raises(UnknownId, match="regime"):
        batch.reset(options={"regime": "none"})


def test_pictures() -> None:
    for preset in ("nozzle", "obstacles", "coverage"):
        env = gym.make("agentgym/Swarm-v0", preset=preset, render_mode="rgb_array", **{**SMALL, "agents": 200})
        env.reset(seed=0)
        picture: Any = env.render()
        assert picture.dtype == np.uint8
        assert picture.std() > 10


def test_suite_compares_the_controllers() -> None:
    """As ``agentgym evaluate --suite swarm --controllers ...`` does; each controller flies in every condition."""
    names = ("zero", "sph", "boids", "potential-field")
    found = evaluate(
        [], SwarmSuite(parts=("air",)), "agentgym/Swarm-v0", {"agents": 150, "seconds": 1.0}, episodes=1,
        controllers=names, progress=False,
    )  # fmt: skip
    rows = list(found.rows)
    assert len(rows) == 4 * len(names)
    assert not any(row.error for row in rows)
    by_name = {name: [row.episode_return for row in rows if row.agent == name] for name in names}
    assert by_name["zero"] == pytest.approx(by_name["sph"])  # the residual of the SPH controller on itself
    assert len({round(scores[0], 6) for scores in by_name.values()}) == 3


@pytest.mark.parametrize("deterministic", [True, False])
def test_suite_has_a_shared_policy_in_every_duct(deterministic: bool) -> None:
    """Another throat or back pressure lets other numbers of drones in: another pool, and the same policy for each."""
    agent = SharedPPO("MlpPolicy", SwarmVectorEnv(2, **SMALL), n_steps=4, n_epochs=1, seed=0)
    found = evaluate(
        {"shared": agent}, SwarmSuite(parts=("duct",)), "agentgym/Swarm-v0", {"agents": 150, "seconds": 0.5},
        episodes=1, deterministic=deterministic, progress=False,
    )  # fmt: skip
    rows = list(found.rows)
    assert len(rows) == 7
    assert {row.error for row in rows} == {""}
    assert len({row.episode_return for row in rows}) == 7


@pytest.mark.parametrize("residual_on", ["sph", "zero"])
def test_a_shared_policy_learns_on_what_the_sph_controller_sees(residual_on: str) -> None:
    """Also on top of its commands; a step of the update changes what agents do, alike for all."""
    batch = SwarmVectorEnv(1, agents=150, seconds=1.0, residual_on=residual_on)
    agent = SharedPPO("MlpPolicy", batch, n_steps=4, n_epochs=1, seed=0)
    observation, _ = batch.reset(seed=0)
    before, _ = agent.predict(observation, deterministic=True)
    agent.learn(4)
    after, _ = agent.predict(observation, deterministic=True)
    assert before.shape == (1, *(batch.single_action_space.shape or ()))
    assert (before != after).any()
    columns = Columns(2)
    seen = observation.copy()
    seen[0, 1] = seen[0, 0]
    np.testing.assert_array_equal(agent.predict(seen, deterministic=True)[0][0, 1], after[0, 0])
    controller = batch.controllers["sph"].predict(observation)[0]
    commands = observation[..., columns.push] + observation[..., columns.drag]
    expected = np.zeros_like(controller) if residual_on == "sph" else np.clip(commands, -1, 1)
    np.testing.assert_allclose(controller, expected, atol=1e-6)


def test_places_left_in_any_order_end_nothing_before_the_limit() -> None:
    """All drones fall out, several in one step: each place goes on with zeros, and all end together at the limit."""
    env = agentgym.parallel_env("agentgym/Swarm-v0", preset="coverage", agents=16, seconds=1.5, dropout=1.0)
    seen, _ = env.reset(seed=0)
    names, orders = list(env.agents), []
    for seed in range(2):
        env.reset(seed=seed)
        inside, left, steps = dict.fromkeys(names, True), [], 0
        while env.agents:
            actions = {name: np.zeros(2, np.float32) for name in env.agents}
            assert env.agents == names
            seen, rewards, ended, cut, infos = env.step(actions)
            steps += 1
            assert not any(ended.values())
            gone = [name for name in names if inside[name] and not infos[name]["inside"]]
            for name in names:
                assert infos[name]["inside"] <= inside[name]  # nobody comes back
                if not infos[name]["inside"]:
                    assert rewards[name] == 0
                    assert not seen[name].any()
                inside[name] = infos[name]["inside"]
            left += [gone] if gone else []
            assert len(set(cut.values())) == 1
        assert steps == env.unwrapped.batch.max_episode_steps
        assert sum(map(len, left)) >= len(names) - 2  # those whose step is the last may be left
        orders.append(left)
    assert orders[0] != orders[1]
    assert any(len(gone) > 1 for gone in orders[0] + orders[1])


def test_errors_are_those_against_the_back_pressure_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentgym.envs.swarm.world._FLOWS", 3)
    batch = SwarmVectorEnv(1, **SMALL)
    batch.reset(seed=0, options={"back_pressure": 0.95})
    assert batch.world.flow(0).p[-1] == pytest.approx(0.95 * 25 / 1.4, rel=1e-6)
    assert batch.world.fluid["velocities"][0, :, 0].max() < 4  # it starts from the flow at that pressure
    batch.set_back_pressure(0.1)
    assert batch.world.flow(0).regime in ("overexpanded", "underexpanded")
    for k in range(4):  # a curriculum of many pressures keeps few flows
        batch.set_back_pressure(0.5 + k / 100)
        batch.world.flow(0)
    assert len(batch.world._flows) <= 3


def test_quadcopters_fly_in_the_environment() -> None:
    settings: dict[str, Any] = {**SMALL, "vehicle": "quadcopter", "lead": 1.25, "step": 0.05, "seconds": 1.0}
    together = rollout(SwarmVectorEnv(2, **settings), 3)
    alone = rollout(SwarmVectorEnv(1, **settings), 4)
    for one, all_ in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one[0], all_[1])
    batch = SwarmVectorEnv(1, **settings)
    rollout(batch, 0)
    attitude = batch.world.fluid.agents[0, batch.world.fluid.inside[0], at.ATTITUDE : at.ATTITUDE + 4]
    np.testing.assert_allclose(np.linalg.norm(attitude, axis=1), 1, rtol=1e-9)
    assert np.abs(attitude[:, 1:3]).max() > 1e-3
    with pytest.raises(InvalidParameter, match="lag"):
        SwarmVectorEnv(1, **{**settings, "lag": 0.5})


def test_suite_lists_its_conditions() -> None:
    from agentgym.evaluation.conditions import Subject

    env = gym.make("agentgym/Swarm-v0", **SMALL)
    subject = Subject("agentgym/Swarm-v0", SMALL, env, None, {})
    conditions = SwarmSuite().conditions(subject)
    names = [condition.name for condition in conditions]
    assert len(names) == len(set(names))
    for condition in conditions:
        SwarmVectorEnv(1, **{**condition.env_kwargs, "agents": 200})
