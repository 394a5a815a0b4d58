"""PRDC's update, its switches, its presets, and that its search is its own."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from agentgym.agents.common.saving import load_agent
from agentgym.agents.offline.prdc.config import PRDCConfig
from agentgym.agents.offline.prdc.prdc import PRDC
from agentgym.agents.offline.td3bc.td3bc import TD3BC
from agentgym.cli.main import main
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import InvalidParameter, NonFinite, UnknownId
from agentgym.evaluation.evaluate import evaluate
from agentgym.runs.run import Run, RunConfig
from agentgym.runs.train import resume, train

SMALL = {"layers": (16,), "batch_size": 64, "log_every": 10}


def assert_same(one: torch.nn.Module, other: torch.nn.Module, atol: float = 0.0, rtol: float = 0.0) -> None:
    for (name, own), theirs in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(own, theirs, rtol=rtol, atol=atol, msg=name)


def asked(agent: PRDC, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    at = rng.integers(len(agent.states), size=50)
    return at, rng.uniform(-1, 1, size=(50, 1)).astype(np.float32)


def test_a_great_beta_gives_td3bc(pendulum: OfflineDataset) -> None:
    unlike = PRDC(dataset=pendulum, seed=1, beta=2.0, **SMALL).learn(20)
    prdc = PRDC(dataset=pendulum, seed=1, beta=1e6, **SMALL).learn(20)
    td3bc = TD3BC(dataset=pendulum, seed=1, **SMALL).learn(20)
    assert_same(prdc.policy, td3bc.policy, atol=1e-6, rtol=1e-5)
    with pytest.raises(AssertionError):
        assert_same(unlike.policy, td3bc.policy, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"kth": 3}, {"mean_of": 3}])
def test_the_policy_is_pulled_to_the_neighbours_a_scan_finds(pendulum: OfflineDataset, settings: dict) -> None:
    agent = PRDC(dataset=pendulum, seed=0, beta=0.5, **settings, **SMALL)
    batch = agent._sample()
    actions = agent.actor.of_states(batch.states).detach()
    anchor = agent._anchor(batch, actions)[0]
    keys = torch.cat([0.5 * agent.states, agent.actions], 1).double()
    order = torch.cdist(torch.cat([0.5 * batch.states, actions], 1).double(), keys).argsort(1)
    expected = {
        (): agent.actions[order[:, 0]],
        ("kth",): agent.actions[order[:, 2]],
        ("mean_of",): agent.actions[order[:, :3]].mean(1),
    }
    assert not torch.equal(anchor, batch.actions)
    torch.testing.assert_close(anchor, expected[tuple(settings)])


def test_the_actor_steps_along_the_published_loss(pendulum: OfflineDataset) -> None:
    agent = PRDC(dataset=pendulum, seed=0, policy_delay=1, preset="halfcheetah", **SMALL)
    state = agent.generator.get_state()
    batch = agent._sample()
    agent.generator.set_state(state)
    agent._update()  # the critic steps first: the actor sees the new one
    before = PRDC(dataset=pendulum, seed=0, policy_delay=1, preset="halfcheetah", **SMALL)
    actions = before.actor.of_states(batch.states)
    anchor = before._anchor(batch, actions.detach())[0]
    q = agent.critic.of_states(batch.states, actions)[0]
    loss = -40.0 / q.abs().mean().detach() * q.mean() + F.mse_loss(actions, anchor)
    for gradient, parameter in zip(torch.autograd.grad(loss, before._of_actor), agent._of_actor, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-6)


def test_two_agents_in_one_process_do_not_disturb_each_other(pendulum: OfflineDataset) -> None:
    other = pendulum.select(np.arange(7), "other")

    def make() -> tuple[PRDC, PRDC]:
        return PRDC(dataset=pendulum, seed=0, **SMALL), PRDC(dataset=other, seed=1, beta=0.5, **SMALL)

    apart, together = make(), make()
    for agent in apart:
        agent.learn(30)
    for _ in range(30):
        for agent in together:
            agent.learn(1, reset_num_timesteps=False)
    for one, two in zip(apart, together, strict=True):
        assert_same(one.policy, two.policy)
    assert len(together[1].pairs.tree.keys) == len(other)


def test_lists_change_no_weight_and_no_random_number(pendulum: OfflineDataset) -> None:
    agents = [PRDC(dataset=pendulum, seed=0, candidates=count, beta=0.5, **SMALL) for count in (0, 4, 32)]
    for agent in agents:
        if agent.pairs.lists is not None:
            agent.pairs.lists.rent[::2] = np.inf  # lists from the first visit on
        agent.learn(40)
    assert (agents[1].pairs.lists.limits >= 0).any()
    for agent in agents[1:]:
        assert_same(agent.policy, agents[0].policy)
        assert torch.equal(agent.generator.get_state(), agents[0].generator.get_state())


def test_a_loaded_agent_has_its_index_again(pendulum: OfflineDataset, tmp_path: Path) -> None:
    agent = PRDC(dataset=pendulum, seed=0, beta=0.5, **SMALL).learn(20)
    agent.save(tmp_path / "agent")
    loaded = PRDC.load(tmp_path / "agent", dataset=pendulum)
    for one, other in zip(agent.pairs.nearest(*asked(agent)), loaded.pairs.nearest(*asked(agent)), strict=True):
        np.testing.assert_array_equal(one, other)
    bare = load_agent(tmp_path / "agent")
    observations = pendulum.observations[:5]
    np.testing.assert_array_equal(bare.predict(observations)[0], agent.predict(observations)[0])
    with pytest.raises(InvalidParameter, match="no dataset to learn from"):
        bare.learn(1)
    changed = dataclasses.replace(pendulum, rewards=pendulum.rewards + 1)
    with pytest.raises(InvalidParameter, match="has other entries"):
        PRDC.load(tmp_path / "agent", dataset=changed)


def test_what_is_logged_is_what_was_found(pendulum: OfflineDataset) -> None:
    agent = PRDC(dataset=pendulum, seed=0, beta=0.5, policy_delay=1, **SMALL)
    agent.pairs.lists.rent[:1000] = np.inf
    state = agent.generator.get_state()
    at = agent._sample().rows
    agent.generator.set_state(state)
    actions = agent.actor.of_states(agent.states[at]).detach()
    keys = torch.cat([0.5 * agent.states, agent.actions], 1)
    nearest, rows = torch.cdist(torch.cat([0.5 * agent.states[at], actions], 1), keys).min(1)
    logged = dict(zip(agent.metric_names, agent._update(), strict=True))
    assert float(logged["neighbour_distance"]) == pytest.approx(float(nearest.mean()), rel=1e-3)
    assert float(logged["own_row_rate"]) == pytest.approx(float((rows == at).float().mean()), abs=0.02)
    assert float(logged["listed_rate"]) == float((at < 1000).float().mean())
    assert 0 < float(logged["certified_rate"]) <= float(logged["listed_rate"])


def test_attacks_reach_it(pendulum: OfflineDataset) -> None:
    agents = {"prdc": PRDC(dataset=pendulum, seed=0, **SMALL).learn(20)}
    short = {"max_episode_steps": 40}
    found = evaluate(agents, "attacks:epsilons=0.1", "Pendulum-v1", short, episodes=1, progress=False)
    assert not [row.error for row in found.rows if row.error]


def test_presets_are_the_released_commands_and_single_settings_win() -> None:
    assert (PRDCConfig().alpha, PRDCConfig().beta) == (2.5, 2.0)
    config = PRDCConfig.preset("antmaze", beta=3.0)
    assert (config.alpha, config.beta, config.reward_scale, config.reward_shift) == (7.5, 3.0, 10_000.0, -1.0)
    assert PRDCConfig(**config.to_kwargs()) == config
    assert {PRDCConfig.preset(name).alpha for name in PRDCConfig.presets} == {2.5, 40.0, 7.5}
    with pytest.raises(UnknownId, match="halfcheetah"):
        PRDCConfig.preset("cheetah")


def test_rewards_are_mapped(pendulum: OfflineDataset) -> None:
    agent = PRDC(dataset=pendulum, seed=0, preset="antmaze", **SMALL)
    np.testing.assert_allclose(agent.rewards, 10_000 * pendulum.rewards - 1, rtol=1e-6)


def test_a_preset_is_asked_for_on_the_command_line(stored: str, tmp_path: Path) -> None:
    main(["train", "prdc", "--dataset", stored, "--steps", "4", "--root", str(tmp_path), "--name", "run",
          "--preset", "halfcheetah", "--config.beta", "3", "--config.evaluate-every", "0"])  # fmt: skip
    config = Run.open(tmp_path / "run").config.config
    assert (config["alpha"], config["beta"]) == (40.0, 3.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kth": 2, "mean_of": 2}, "one of the two"),
        ({"kth": 0}, "kth is 0"),
        ({"beta": -1.0}, "beta is -1.0"),
        ({"beta": float("nan")}, "beta=nan"),
        ({"candidates": -1}, "candidates is -1"),
        ({"mean_of": 10_000}, "not 10000 neighbours"),
    ],
)
def test_settings_out_of_range_are_refused(pendulum: OfflineDataset, settings: dict, message: str) -> None:
    with pytest.raises((InvalidParameter, NonFinite), match=message):
        PRDC(dataset=pendulum, **settings)


def test_a_resumed_run_makes_the_lists_it_would_have_made(stored: str, tmp_path: Path) -> None:
    settings = {**SMALL, "log_every": 100, "evaluate_every": 0}
    config = RunConfig("prdc", dataset=stored, steps=900, config=settings, threads=1)
    whole = train(config, "whole", tmp_path, progress=False)
    half = train(dataclasses.replace(config, steps=700), "half", tmp_path, progress=False)
    resumed = resume(half.path, 200, progress=False)
    names, *rows = [line.split(",") for line in (whole.path / "metrics.csv").read_text().splitlines()]
    assert (resumed.path / "metrics.csv").read_text().splitlines()[-1].split(",") == rows[-1]
    listed = [float(row[names.index("train/listed_rate")]) for row in rows]
    assert listed[0] < listed[-3] < listed[-1]  # lists were there before, and came after


@pytest.mark.slow
def test_it_does_better_than_its_data(pendulum: OfflineDataset) -> None:
    options = {"env": "Pendulum-v1", "layers": (64, 64), "evaluate_every": 0, "evaluation_episodes": 20}
    agent = PRDC(dataset=pendulum, seed=0, **options)  # with alpha 2.5, which keeps TD3+BC at its clone's return here
    assert agent.learn(6_000).evaluate() > np.mean(pendulum.returns) + 200
