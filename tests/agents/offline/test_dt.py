"""Decision Transformer: acting sees what learning saw, returns count down, and luck is not told from skill."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agentgym.agents.offline.dt.dt import DecisionTransformer
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import InvalidParameter, NonFinite
from agentgym.recipes.bandit import BernoulliBandit

TINY = {"width": 16, "layers": 1, "context": 5, "batch_size": 16, "warmup": 10}


@pytest.fixture
def agent(pendulum: OfflineDataset) -> DecisionTransformer:
    return DecisionTransformer(dataset=pendulum, seed=1, learning_rate=1e-3, **TINY).learn(20)


def test_acting_along_an_episode_gives_what_learning_gives_for_its_windows(
    agent: DecisionTransformer, pendulum: OfflineDataset
) -> None:
    """Lanes play logged episodes one step apart. Asked for what was then paid, the outputs are those of learning."""
    wanted = float(pendulum.returns[3])
    told = DecisionTransformer(dataset=pendulum, seed=1, target_return=wanted, **TINY)
    told.policy.load_state_dict(agent.policy.state_dict())
    first, count = int(pendulum.starts[3]), 12
    state, seen = None, []
    for t in range(count):
        rewards = None if t == 0 else pendulum.rewards[[first + t - 1, first + t - 2 if t > 1 else 0]]
        observations = pendulum.observations[[first + 3 + t, first + 3 + max(t - 1, 0)]]
        actions, state = told.predict(observations, state, [t == 0, t <= 1], True, reward=rewards)
        seen.append(actions[:, 0] / 2.0)
        taken = torch.as_tensor(pendulum.actions[[first + t, first + max(t - 1, 0)]] / 2.0)
        state = state.with_actions(taken)  # as if the logged actions had been taken
    window = told.sequences.ending_at(torch.arange(first, first + count), told.settings.context)
    told.policy.eval()
    with torch.no_grad():
        outputs = told.policy(window.returns_to_go, window.observations, window.actions, window.times, window.mask)
    expected = torch.tanh(outputs[:, -1, 0]).numpy()
    np.testing.assert_allclose(np.array(seen)[:, 0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.array(seen)[1:, 1], expected[:-1], rtol=1e-4, atol=1e-5)


def test_the_return_to_go_counts_down_by_what_is_paid(agent: DecisionTransformer, pendulum: OfflineDataset) -> None:
    assert agent.target_return == pytest.approx(float(pendulum.returns.max()))
    assert agent.promised(None, 2).tolist() == pytest.approx([agent.target_return] * 2)
    _, state = agent.predict(pendulum.observations[:2])
    assert agent.returns_to_go(state)[:, -1].tolist() == pytest.approx([agent.target_return] * 2)
    _, state = agent.predict(pendulum.observations[1:3], state, [False, True], reward=[-3.0, 7.0])
    to_go = agent.returns_to_go(state)
    assert to_go[0, -2:].tolist() == pytest.approx([agent.target_return, agent.target_return + 3.0])
    assert to_go[1, -2:].tolist() == pytest.approx([0.0, agent.target_return])  # a new episode: nothing was paid yet


def test_a_missing_reward_and_a_foreign_state_say_what_to_do(
    agent: DecisionTransformer, pendulum: OfflineDataset
) -> None:
    _, state = agent.predict(pendulum.observations[:2])
    with pytest.raises(InvalidParameter, match="reward="):
        agent.predict(pendulum.observations[:2], state)
    with pytest.raises(InvalidParameter, match="reward="):
        agent.predict(pendulum.observations[:2], state, [True, False])
    agent.predict(pendulum.observations[:2], state, [True, True])
    with pytest.raises(NonFinite, match="not finite"):
        agent.predict(pendulum.observations[:2], state, reward=[0.0, np.nan])
    with pytest.raises(InvalidParameter, match="3 episodes"):
        agent.predict(pendulum.observations[:3], state, reward=np.zeros(3))


def test_a_single_observation_is_a_batch_of_one(agent: DecisionTransformer, pendulum: OfflineDataset) -> None:
    one, state = agent.predict(pendulum.observations[0], deterministic=True)
    many, states = agent.predict(pendulum.observations[:1], deterministic=True)
    assert one.shape == pendulum.action_space.shape
    np.testing.assert_array_equal(one, many[0])
    one, _ = agent.predict(pendulum.observations[1], state, False, True, reward=-1.0)
    many, _ = agent.predict(pendulum.observations[1:2], states, [False], True, reward=[-1.0])
    np.testing.assert_array_equal(one, many[0])


def test_another_target_is_taken_when_loading(agent: DecisionTransformer, tmp_path: Path) -> None:
    agent.save(tmp_path / "agent")
    assert DecisionTransformer.load(tmp_path / "agent").target_return == agent.target_return
    loaded = DecisionTransformer.load(tmp_path / "agent", target_return=-500.0)
    assert loaded.promised(None, 1).tolist() == [-500.0]


def test_nobody_elses_random_numbers_are_drawn(agent: DecisionTransformer) -> None:
    before = torch.get_rng_state()
    agent.learn(2, reset_num_timesteps=False)
    assert torch.equal(before, torch.get_rng_state())


def test_asked_for_more_it_does_better_where_nothing_is_luck() -> None:
    """Two arms that always pay 0 and 1: the return asked for is the arm pulled."""
    data = BernoulliBandit(p=0.3).make(Path(), progress=False)
    paid = (data.actions - data.action_space.start).astype(np.float32)
    settings = {**TINY, "context": 1, "learning_rate": 3e-3, "dropout": 0.0}
    agent = DecisionTransformer(dataset=dataclasses.replace(data, rewards=paid), seed=0, **settings).learn(150)
    for asked in (0.0, 1.0):
        agent.settings.target_return = asked
        actions, _ = agent.predict(np.zeros(50, np.int64))
        assert (actions == asked).all()


@pytest.mark.parametrize("p", [0.1, pytest.param(0.3, marks=pytest.mark.slow)])
def test_in_the_bandit_it_pulls_both_arms_alike(p: float) -> None:
    """P(arm | it paid) is 1/2 for each arm (Yang et al. 2023), so its return is 1/2 however good the better arm is."""
    data = BernoulliBandit(p=p).make(Path(), progress=False)
    agent = DecisionTransformer(
        dataset=data, seed=0, learning_rate=3e-3, dropout=0.0, **{**TINY, "context": 1, "batch_size": 256}
    ).learn(300)
    with torch.no_grad():
        agent.policy.eval()
        one = torch.ones(1, 1)
        outputs = agent.policy(one, torch.ones(1, 1, 1), torch.zeros(1, 1, 2), torch.zeros(1, 1).long(), one.bool())[
            0, -1
        ]
    chance = outputs.softmax(0)
    achieved = float(chance @ torch.tensor([1 - p, p]))
    assert achieved == pytest.approx(0.5, abs=0.06)
    assert agent.promised(None, 1).tolist() == [1.0]


def test_discrete_spaces_need_not_begin_at_zero() -> None:
    data = BernoulliBandit(p=0.3).make(Path(), progress=False)
    shifted = dataclasses.replace(
        data, observations=data.observations + 5, actions=data.actions - 3,
        observation_space=spaces.Discrete(1, start=5), action_space=spaces.Discrete(2, start=-3),
    )  # fmt: skip
    agent = DecisionTransformer(dataset=shifted, seed=0, **TINY).learn(3)
    actions, _ = agent.predict(np.full(20, 5))
    assert set(actions.tolist()) <= {-3, -2}
