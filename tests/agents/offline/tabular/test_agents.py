"""The agents with tables from the outside: learned, saved, resumed, evaluated, refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agentgym import catalog
from agentgym.agents.common.saving import load_agent
from agentgym.agents.offline.doc.tabular import Choice, TabularDoC
from agentgym.agents.offline.rcbc.rcbc import RCBC
from agentgym.contracts.agent import PROMISED
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.errors import InvalidParameter, NonFinite, SpaceMismatch
from agentgym.evaluation.evaluate import evaluate
from agentgym.runs.run import RunConfig
from agentgym.runs.train import resume, train

QUICK = {"log_every": 10, "evaluate_every": 20, "evaluation_episodes": 3}
every_agent = pytest.mark.parametrize("name", ["doc-tabular", "rcbc"])


def make(name: str, dataset: OfflineDataset, **more):
    return catalog.load(catalog.find("agent", name))(dataset=dataset, **{"seed": 3, **QUICK, **more})


def expected(agent, p: float, draws: int = 4000) -> float:
    """The expected return of what an agent does by chance, from its frequencies."""
    actions, _ = agent.predict(np.zeros(draws, np.int64))
    return float(np.where(actions == 0, 1 - p, p).mean())


@every_agent
def test_saved_and_loaded_agents_act_promise_and_learn_alike(name: str, bandit, tmp_path: Path) -> None:
    data = bandit(0.2)
    agent = make(name, data).learn(30)
    agent.save(tmp_path / "agent")
    loaded = load_agent(tmp_path / "agent")
    (actions, state), (others, other_state) = (
        one.predict(np.zeros(5, np.int64), deterministic=True) for one in (agent, loaded)
    )
    np.testing.assert_array_equal(actions, others)
    np.testing.assert_array_equal(agent.promised(state, 5), loaded.promised(other_state, 5))
    assert loaded.dataset_record["sha256"] == data.digest
    loaded.set_dataset(data)
    loaded.generator.set_state(agent.generator.get_state())
    for learner in (agent, loaded):
        learner.learn(5, reset_num_timesteps=False)
    for own, other in zip(agent.policy.state_dict().values(), loaded.policy.state_dict().values(), strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0, equal_nan=True)


@every_agent
def test_a_run_is_resumed_bit_for_bit(name: str, stored_bandit: str, tmp_path: Path) -> None:
    config = RunConfig(name, dataset=stored_bandit, steps=60, checkpoint_every=20, config=QUICK, threads=1)
    whole = train(config, "whole", tmp_path, progress=False)
    half = train(dataclasses.replace(config, steps=30), "half", tmp_path, progress=False)
    resumed = resume(half.path, 30, progress=False)
    last = [(run.path / "metrics.csv").read_text().splitlines()[-1] for run in (whole, resumed)]
    assert last[0] == last[1]
    assert "eval/promised_mean" in (whole.path / "metrics.csv").read_text().splitlines()[0]
    scores = whole.record()["scores"]
    assert scores["final_promised"] is not None
    assert scores["final_step"] == 60


def test_doc_keeps_its_promise_in_the_report_and_cloning_does_not(bandit) -> None:
    agents = {"doc": make("doc-tabular", bandit(0.1)).learn(1000), "rcbc": make("rcbc", bandit(0.1)).learn(1)}
    found = evaluate(
        agents, "perturbations:axes=reward,levels=1", "ExactBanditForTest-v0", {"p": 0.1}, episodes=400,
        deterministic=False, progress=False,
    )  # fmt: skip
    assert not [row.error for row in found.rows if row.error]
    for name, promise, achieved in (("doc", 0.9, 0.9), ("rcbc", 1.0, 0.5)):
        own = [row for row in found.rows if row.agent == name]
        assert np.mean([row.measures[PROMISED] for row in own]) == pytest.approx(promise, abs=0.03)
        assert np.mean([row.episode_return for row in own]) == pytest.approx(achieved, abs=0.05)


def test_neighbours_do_not_change_an_episode(bandit) -> None:
    agent = make("doc-tabular", bandit(0.3)).learn(300)
    many, state = agent.predict(np.zeros(9, np.int64), deterministic=True)
    one, alone = agent.predict(np.int64(0), deterministic=True)
    assert one == many[0]
    assert (alone.latents, alone.promises) == (state.latents[:1], state.promises[:1])


def test_z_is_held_until_the_next_episode(bandit) -> None:
    agent = make("doc-tabular", bandit(0.3), samples=1)
    held = Choice(np.array([2, 1, 0, 3]), np.array([5.0, 6.0, 7.0, 8.0]))
    for starts in (np.zeros(4, bool), np.array([False, True, False, True])):
        draws = [agent.predict(np.zeros(4, np.int64), held, starts)[1] for _ in range(60)]
        for index, fresh in enumerate(starts):
            assert len({int(draw.latents[index]) for draw in draws}) == (4 if fresh else 1)
            assert all(draw.promises[index] != held.promises[index] for draw in draws) == fresh


def test_contexts_are_decided_one_by_one() -> None:
    """In each of two states another arm is the better one, with rewards in any unit; the third was never seen."""
    p, scale, shares = 0.2, 50.0, []
    for state in (0, 1):
        for arm in (0, 1):
            better = arm == state
            for reward in (0, 1):
                chance = (1 - p if better else p) if reward else (p if better else 1 - p)
                shares += [(state, arm, reward)] * round(1000 * (p if better else 1 - p) * chance)
    states, arms, rewards = np.array(shares).T
    count = len(states)
    observations = np.repeat(states, 2)
    data = OfflineDataset(
        observations, arms, (100 + scale * rewards).astype(np.float32), np.ones(count, bool), np.zeros(count, bool),
        np.arange(count + 1), spaces.Discrete(3), spaces.Discrete(2), Description("two-states-v0"),
    )  # fmt: skip
    agent = make("doc-tabular", data).learn(1000)
    actions, state = agent.predict(np.array([0, 1, 2]), deterministic=True)
    assert actions[:2].tolist() == [0, 1]
    np.testing.assert_allclose(agent.promised(state, 3)[:2], 100 + scale * (1 - p), atol=0.03 * scale)
    torch.testing.assert_close(agent.tables.policy[0, 2].softmax(-1), torch.full((4, 2), 0.5))
    assert agent.promised(state, 3)[2] == pytest.approx(data.rewards.mean(), abs=1e-3)


# Return-conditioned cloning


@pytest.mark.parametrize("p", [0.1, 0.2, 0.3, 0.4, 0.5])
def test_return_conditioned_cloning_takes_luck_for_skill(p: float, bandit) -> None:
    agent = make("rcbc", bandit(p))
    chances = agent.policy.distribution(torch.tensor([0]), torch.tensor([1.0]))
    assert chances.tolist() == [[0.5, 0.5]]  # so it returns (1 - p) / 2 + p / 2 = 0.5 exactly
    assert agent.promised(agent.predict(np.zeros(2, np.int64))[1], 2).tolist() == [1.0, 1.0]
    assert expected(agent, p) == pytest.approx(0.5, abs=0.03)
    modes = [int(make("rcbc", bandit(p), seed=seed).predict(np.int64(0), deterministic=True)[0]) for seed in range(40)]
    assert 8 < sum(modes) < 32  # the mode of equally likely arms is not always the first


def walk() -> OfflineDataset:
    """Two states; both actions in each, rewards 1 to 4 by episode: (s0, a) pays 2a, then (s1, a) pays 1 + a."""
    episodes = [(first, second) for first in (0, 1) for second in (0, 1)]
    actions = np.array(episodes).ravel()
    rewards = np.array([[2 * first, 1 + second] for first, second in episodes], np.float32).ravel()
    ends = np.tile([False, True], 4)
    return OfflineDataset(
        np.tile([0, 1, 2], 4), actions, rewards, ends, np.zeros(8, bool), np.arange(0, 9, 2), spaces.Discrete(4),
        spaces.Discrete(2), Description("walk-v0"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "path"), [(None, (1, 1)), (4.0, (1, 1)), (3.0, (1, 0)), (2.0, (0, 1)), (1.0, (0, 0))]
)
def test_what_is_left_of_the_target_is_asked_for(target, path) -> None:
    agent = make("rcbc", walk(), target=target)
    first, state = agent.predict(np.array([0]), deterministic=True, reward=np.zeros(1), episode_start=np.array([True]))
    paid = np.array([2.0 * first[0]], np.float32)
    second, state = agent.predict(
        np.array([1]), state, np.array([False]), deterministic=True, reward=paid
    )  # fmt: skip
    assert (int(first[0]), int(second[0])) == path
    again, state = agent.predict(np.array([0]), state, np.array([True]), deterministic=True, reward=paid)
    assert again == first
    assert agent.promised(state, 1)[0] == (target or 4.0)


def test_a_state_never_seen_is_met_by_chance() -> None:
    agent = make("rcbc", walk())
    torch.testing.assert_close(
        agent.policy.distribution(torch.tensor([3]), torch.tensor([4.0])), torch.full((1, 2), 0.5)
    )


# Refused


def test_longer_episodes_and_other_spaces_are_refused(pendulum: OfflineDataset) -> None:
    with pytest.raises(InvalidParameter, match=r"up to 2 steps.*For longer episodes use doc"):
        make("doc-tabular", walk())
    for agent in (TabularDoC, RCBC):
        with pytest.raises(SpaceMismatch, match="supports Discrete action spaces"):
            agent(dataset=pendulum)
        with pytest.raises(SpaceMismatch, match="Discrete observations"):
            agent(dataset=dataclasses.replace(walk(), observation_space=spaces.Box(0, 3, ())))


@every_agent
def test_data_that_are_not_finite_or_of_other_spaces_are_refused(name: str, bandit) -> None:
    data = bandit(0.1)
    rewards = data.rewards.copy()
    rewards[5] = np.nan
    with pytest.raises(NonFinite, match="rewards are not finite"):
        make(name, dataclasses.replace(data, rewards=rewards))
    with pytest.raises(SpaceMismatch, match="the environment's are"):
        make(name, data, env="CartPole-v1")
