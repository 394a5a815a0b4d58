"""Gradients through the environment: exact, by stages, refused where they cannot be; one network learns what two do."""

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from agentgym.agents.common.saving import load_agent
from agentgym.agents.marl.shared.gradient import SharedGradient
from agentgym.agents.marl.shared.ppo import SharedPPO
from agentgym.agents.marl.shared.switch import Switch, clamped
from agentgym.contracts.environment import Differentiable, Patterned
from agentgym.envs.convection.vector import ConvectionVectorEnv
from agentgym.envs.particles.planted import PlantedGameVectorEnv
from agentgym.errors import CorruptFile, InvalidParameter, SpaceMismatch, UnknownId
from agentgym.wrappers.replay import RecordedBatch

from . import ring

CELL = {"columns": 24, "points": 17, "time_step": 0.15, "actions": 12}
SMALL = {
    "window": 4, "lead": 2, "gradient_worlds": 2, "validation_worlds": 2, "actor_layers": (8,), "value_layers": (8,),
    "n_steps": 6, "n_epochs": 1, "batch_size": 60,
}  # fmt: skip
STAGES = {
    **SMALL, "merge_steps": 24, "switch": True, "starts": ("two-pair", "one-pair"), "distill_rounds": 2,
    "distill_worlds": 2, "distill_updates": 3,
}  # fmt: skip
TOTAL = 24 + 48 + 2 * (24 + 48) + 2 * 24  # PPO, first validation, two episodes with validation, two rounds


def cells(worlds=2, **changes):
    return ConvectionVectorEnv(worlds, autoreset_mode="SameStep", **{**CELL, **changes})


def agent(env, seed=0, **config):
    return SharedGradient("MlpPolicy", env, seed=seed, device="cpu", **SharedGradient.Config(**config).to_kwargs())


def window_reward(batch, state, actions):
    rewards = []
    for each in actions:
        state, _, reward = batch.differentiable_step(state, each)
        rewards.append(reward)
    return torch.stack(rewards).mean()


@pytest.mark.parametrize("changes", [{}, {"lag": 0.5, "dead": 1, "stuck": 1}, {"nusselt": "plates"}])
def test_the_gradient_through_a_window_of_convection_is_that_of_finite_differences(changes):
    batch = cells(precision="float64", start="random", **changes)
    assert isinstance(batch, Differentiable)
    batch.reset(seed=3)
    state, _ = batch.differentiable_state()
    draws = torch.Generator().manual_seed(0)
    actions = torch.rand((4, 2, 10), generator=draws, dtype=torch.float64) - 0.5
    actions.requires_grad_()
    window_reward(batch, state, actions).backward()
    for _ in range(3):
        step = torch.randn(actions.shape, generator=draws, dtype=torch.float64)
        with torch.no_grad():
            ahead, behind = (window_reward(batch, state, actions + sign * 1e-4 * step) for sign in (1, -1))
        expected = float((ahead - behind) / 2e-4)
        assert float((actions.grad * step).sum()) == pytest.approx(expected, rel=1e-6)
        assert abs(expected) > 1e-6


@pytest.mark.parametrize(
    "batch",
    [cells(dead=2, stuck=1, averaged_steps=2), PlantedGameVectorEnv(2, ring=True, autoreset_mode="SameStep")],
    ids=["convection", "planted"],
)
def test_the_differentiable_step_is_the_step_and_leaves_the_batch_alone(batch):
    seen, _ = batch.reset(seed=1)
    state, first = batch.differentiable_state()
    np.testing.assert_array_equal(first.float().numpy(), seen)
    draws = np.random.default_rng(0)
    for _ in range(3):
        actions = draws.uniform(-1, 1, batch.action_space.shape).astype(np.float32)
        state, tensor, reward = batch.differentiable_step(state, torch.as_tensor(actions))
        seen, paid, *_ = batch.step(actions)
        np.testing.assert_allclose(tensor.numpy(), seen, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(reward.numpy(), paid, rtol=1e-5)


def test_the_linear_quadratic_ring_reaches_its_riccati_gain():
    neighbours = [[0.0, 0.2, 0.0, 0.0], [0.0, 0.0, 0.2, 0.0], [0.0, 0.0, 0.0, 0.2], [0.2, 0.0, 0.0, 0.0]]
    env = PlantedGameVectorEnv(4, neighbours, decay=0.9, noise=0.0, ring=True, autoreset_mode="SameStep")
    one = agent(
        env, actor_layers=(), window=25, lead=0, gradient_worlds=4, gradient_rate=0.1, gradient_rate_end=1e-5,
        gradient_norm=1.0, action_clip=0.0, average=0.3, validation_worlds=1, validate_every=10,
    )  # fmt: skip
    one.learn(25 * 4 * 250)
    gain = -one.learner.policy.action_net.weight[0].detach().numpy()
    np.testing.assert_allclose(gain, env.game.optimal_gain()[0], atol=1e-4)
    assert abs(gain).max() > 0.3


def test_clamped_gradients_lead_back_and_never_further_out():
    values = torch.tensor([-2.0, -2.0, 0.0, 2.0, 2.0], requires_grad=True)
    clamped(values, torch.tensor(-1.0), torch.tensor(1.0)).backward(torch.tensor([-1.0, 1.0, 5.0, -1.0, 1.0]))
    assert values.grad.tolist() == [-1.0, 0.0, 5.0, 0.0, 1.0]  # descent moves against these


def test_the_switch_has_hysteresis():
    switch, x = Switch(range(10)), 2 * torch.pi * torch.arange(10) / 10
    seen = torch.stack([torch.cos(x) + share * torch.cos(2 * x) for share in (0.5, 0.8, 1.2)])
    assert switch(seen, torch.zeros(3, dtype=torch.bool)).tolist() == [True, False, False]
    assert switch(seen, torch.ones(3, dtype=torch.bool)).tolist() == [True, True, False]
    batch = cells(start="one-pair")
    assert isinstance(batch, Patterned)
    one, two = (torch.as_tensor(batch.reset(seed=0, options={"start": start})[0]) for start in ("one-pair", "two-pair"))
    switch = Switch(batch.agent_pattern)
    assert switch(one, torch.zeros(2, dtype=torch.bool)).all()
    assert not switch(two, torch.ones(2, dtype=torch.bool)).any()


def test_stages_follow_each_other_and_end_as_one_network(tmp_path):
    env = cells(start="mixed")
    logged = []
    one = agent(RecordedBatch(env, 5), **STAGES)
    record = one.learner.ascent.improve
    one.learner.ascent.improve = lambda *given: logged.append(record(*given)) or logged[-1]
    one.learn(TOTAL)
    assert TOTAL <= one.num_timesteps <= TOTAL + 24  # an episode's last steps fill no window and are not played
    assert len(logged) >= 2
    assert one.learner.imitation.round >= 2
    assert {"best_reward", "gradient_rate", "splits"} <= set(logged[0])
    assert logged[0]["gradient_rate"] > logged[1]["gradient_rate"]
    assert not one.learner.switched
    seen, _ = env.reset(seed=9)
    actions, state = one.predict(seen, deterministic=True)
    assert state is None
    one.save(tmp_path / "one")
    loaded = load_agent(tmp_path / "one", device="cpu")
    np.testing.assert_array_equal(loaded.predict(seen, deterministic=True)[0], actions)
    more = SharedGradient.load(tmp_path / "one", env=cells(start="mixed"), device="cpu")
    assert more.learner.worlds.length == 12


def test_before_imitation_it_is_two_networks_and_stays_so_when_saved(tmp_path):
    env = cells(4)
    one = agent(env, **{**STAGES, "distill_rounds": 0, "gradient_rate": 0.1}).learn(24 + 48 + 72)
    assert one.learner.switched
    seen = np.concatenate([env.reset(seed=0, options={"start": start})[0][:1] for start in ("one-pair", "two-pair")])
    actions, (inside,) = one.predict(seen, deterministic=True)
    assert inside.tolist() == [True, False]
    means = one.policy.get_distribution(torch.as_tensor(seen)).distribution.mean.detach().numpy()
    np.testing.assert_allclose(np.clip(means, -1, 1), actions, atol=1e-6)
    with torch.no_grad():
        inner, outer = (one.pilot.actor(net, torch.as_tensor(seen)) for net in (one.pilot.inner, one.pilot.outer))
    np.testing.assert_allclose(actions, np.stack([inner[0], outer[1]]), atol=1e-6)
    one.save(tmp_path / "two")
    loaded = load_agent(tmp_path / "two", device="cpu")
    np.testing.assert_array_equal(loaded.predict(seen, deterministic=True)[0], actions)
    moved = loaded.acting_in(cells(1, heaters=10, columns=30))
    np.testing.assert_array_equal(moved.predict(seen, deterministic=True)[0], actions)
    with pytest.raises(InvalidParameter, match="two networks"):
        agent(cells(), **SMALL, start=str(tmp_path / "two"))


def test_its_first_stage_is_shared_ppo_to_the_bit():
    shared = {name: SMALL[name] for name in ("actor_layers", "value_layers", "n_steps", "n_epochs", "batch_size")}
    ppo = SharedPPO(
        "MlpPolicy", RecordedBatch(cells(), 1), seed=1, device="cpu", **SharedPPO.Config(**shared).to_kwargs()
    )
    ppo.learn(24)
    one = agent(RecordedBatch(cells(), 1), seed=1, **{**STAGES, "distill_rounds": 0})
    one.learn(25)
    outer = one.learner.outer.state_dict()
    policy = ppo.learner.policy
    for name, value in torch.nn.Sequential(policy.mlp_extractor.policy_net, policy.action_net).state_dict().items():
        assert torch.equal(outer[name], value)


def test_it_begins_with_the_policy_of_a_run(tmp_path):
    ppo = SharedPPO("MlpPolicy", cells(), seed=1, device="cpu", actor_layers=(8,), value_layers=(8,))
    ppo.save(tmp_path / "run" / "final")
    one = agent(cells(), seed=2, start=str(tmp_path / "run"), **SMALL)
    for name, value in ppo.learner.policy.state_dict().items():
        assert torch.equal(one.learner.policy.state_dict()[name], value)


@pytest.mark.parametrize(
    ("env", "config", "error", "words"),
    [
        (ring.RingVectorEnv(2, autoreset_mode=AutoresetMode.SAME_STEP), {}, InvalidParameter, "differentiable step"),
        ("agentgym/Convection-v0", {}, InvalidParameter, "native batch"),
        (cells(residual_on="proportional-low"), {}, InvalidParameter, "residual_on"),
        (cells(), {"window": 11}, InvalidParameter, "longer than an episode, which has 12"),
        (cells(), {"starts": ("three-pair",)}, UnknownId, "three-pair"),
        (PlantedGameVectorEnv(2), {"starts": ("two-pair",)}, InvalidParameter, "no reset option"),
        (PlantedGameVectorEnv(2), {"switch": True}, InvalidParameter, "agent_pattern"),
        (cells(), {"detached": 4}, InvalidParameter, "below the window"),
        (cells(), {"start": "x", "merge_steps": 9}, InvalidParameter, "exclude"),
        (cells(), {"distill_rounds": 2}, InvalidParameter, "switch=True"),
        (cells(), {"distill_rounds": 1, "switch": True}, InvalidParameter, "at least 2"),
        (cells(), {"normalize": True}, InvalidParameter, "averaged"),
        (cells(), {"start": "nowhere"}, FileNotFoundError, "nowhere"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_learned(env, config, error, words):
    with pytest.raises(error, match=words):
        agent(env, **{**SMALL, **config})


def test_a_start_of_other_spaces_networks_or_kinds_is_refused(tmp_path):
    SharedPPO("MlpPolicy", cells(window=3), device="cpu").save(tmp_path / "windows")
    with pytest.raises(SpaceMismatch, match="observation space"):
        agent(cells(), **SMALL, start=str(tmp_path / "windows"))
    SharedPPO("MlpPolicy", cells(), device="cpu").save(tmp_path / "wide")
    with pytest.raises(InvalidParameter, match="other networks"):
        agent(cells(), **SMALL, start=str(tmp_path / "wide"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorruptFile):
        agent(cells(), **SMALL, start=str(tmp_path / "empty"))
