"""Implicit Q-Learning: its losses, one update written out, values on a chain, the schedule, attacks."""

import copy
import csv
import dataclasses
import itertools
import math
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.distributions import Categorical, Normal

from agentgym.agents.common.saving import load_agent
from agentgym.agents.offline.actors import CategoricalActor, GaussianActor
from agentgym.agents.offline.iql.iql import IQL, advantage_weights, cosine, expectile_loss
from agentgym.agents.offline.networks import Normalizer
from agentgym.agents.offline.transitions import Batch
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.errors import InvalidParameter
from agentgym.evaluation.evaluate import evaluate
from agentgym.runs.run import RunConfig
from agentgym.runs.train import resume, train

CHAIN = 6  # states; 0 and 5 end the task
QUICK = {"layers": (16,), "batch_size": 32, "log_every": 10, "evaluate_every": 0}


def chain_data(episodes: int = 400, seed: int = 0) -> OfflineDataset:
    """Walks on a line: action 1 goes right with probability 0.4 of being taken; the left end pays 0.3, the right 1.

    Each episode is cut after 8 steps at the latest.
    """
    rng = np.random.default_rng(seed)
    observations, actions, rewards, terminations, starts = [], [], [], [], [0]
    for _ in range(episodes):
        state = int(rng.integers(1, CHAIN - 1))
        observations.append(state)
        for _ in range(8):
            action = int(rng.random() < 0.4)
            state += 2 * action - 1
            over = state in (0, CHAIN - 1)
            actions.append(action)
            rewards.append({0: 0.3, CHAIN - 1: 1.0}.get(state, 0.0))
            terminations.append(over)
            observations.append(state)
            if over:
                break
        starts.append(len(actions))
    ends = np.zeros(len(actions), bool)
    ends[np.array(starts[1:]) - 1] = True
    return OfflineDataset(
        np.array(observations), np.array(actions), np.array(rewards, np.float32), np.array(terminations),
        ends & ~np.array(terminations), np.array(starts), spaces.Discrete(CHAIN), spaces.Discrete(2),
        Description("agentgym/chain/test-v0"),
    )  # fmt: skip


def brute_force_expectile(values: np.ndarray, expectile: float) -> float:
    """The root of sum |expectile - 1(x < m)| (x - m) in m, by bisection."""
    low, high = float(values.min()), float(values.max())
    for _ in range(100):
        middle = (low + high) / 2
        slope = (np.where(values > middle, expectile, 1 - expectile) * (values - middle)).sum()
        low, high = (middle, high) if slope > 0 else (low, middle)
    return low


def fixed_point(data: OfflineDataset, expectile: float, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """What IQL's equations give on the chain where nothing is approximated: V ``[S]`` and Q ``[S, 2]``."""
    states = data.transitions().observations
    values = np.zeros(CHAIN)
    for _ in range(300):
        q_values = np.zeros((CHAIN, 2))
        for state, action in itertools.product(range(1, CHAIN - 1), range(2)):
            after = state + 2 * action - 1
            ends = after in (0, CHAIN - 1)
            q_values[state, action] = {0: 0.3, CHAIN - 1: 1.0}[after] if ends else gamma * values[after]
        for state in range(1, CHAIN - 1):
            taken = data.actions[states == state]
            values[state] = brute_force_expectile(q_values[state, taken], expectile)
    return values, q_values


@pytest.mark.parametrize("expectile", [0.5, 0.7, 0.95])
def test_the_loss_is_least_at_the_expectile(expectile: float) -> None:
    sample = torch.randn(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value = torch.tensor(brute_force_expectile(sample.numpy(), expectile), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(expectile_loss(sample - value, expectile), value)
    assert abs(float(slope)) < 1e-7  # the loss is convex; its weights are rounded to float32


def test_weights_are_exponential_and_cut() -> None:
    found = advantage_weights(torch.tensor([-1.0, 0.0, 0.5, 2.0, 1000.0]), beta=3.0, max_weight=100.0)
    torch.testing.assert_close(found, torch.tensor([math.exp(-3), 1.0, math.exp(1.5), 100.0, 100.0]))


@pytest.mark.parametrize("expectile", [0.7, pytest.param(0.98, marks=pytest.mark.slow)])
def test_tabular_values_on_a_chain_are_those_of_the_equations(expectile: float) -> None:
    data, gamma = chain_data(), 0.8
    agent = IQL(
        dataset=data, seed=0, layers=(), expectile=expectile, gamma=gamma, tau=0.05, beta=30.0, return_range=0.0,
        learning_rate=5e-3, evaluate_every=0,
    ).learn(2000)  # fmt: skip
    values, q_values = fixed_point(data, expectile, gamma)
    with torch.no_grad():
        inner = torch.eye(CHAIN)[1:-1]
        found_v = agent.value(inner).flatten().numpy()
        found_q = agent.critic.network(inner).amin(0).numpy()
    np.testing.assert_allclose(found_v, values[1:-1], atol=0.02)
    np.testing.assert_allclose(found_q, q_values[1:-1], atol=0.02)
    if expectile == 0.98:  # near the greatest value: 0.8^k of the right end, or the left end's 0.3
        optimal = np.array([0.8**3, 0.8**2, 0.8, 1.0])
        np.testing.assert_allclose(found_v, optimal, atol=0.06)
        actions, _ = agent.predict(np.arange(1, CHAIN - 1), deterministic=True)
        assert actions.tolist() == [1, 1, 1, 1]  # although the data go left more often


def test_one_update_is_the_authors_written_out(pendulum: OfflineDataset) -> None:
    """V by Q's target, the policy by the new V and Q's target, Q by the new V, then the target."""
    agent = IQL(dataset=pendulum, seed=1, **QUICK, cosine=False, tau=0.1, return_range=20.0)
    before = {name: copy.deepcopy(getattr(agent, name)) for name in ("actor", "value", "critic", "critic_target")}
    rates = {name: torch.optim.Adam(before[name].parameters(), 3e-4) for name in ("actor", "value", "critic")}
    batches, sample = [], agent._sample
    agent._sample = lambda: (batches.append(sample()), batches[-1])[1]  # type: ignore[method-assign]
    agent.learn(3)

    actor, value, critic, target = before.values()
    for batch in batches:
        with torch.no_grad():
            q = torch.minimum(*target.network(batch.states, batch.actions)).squeeze(1)
        difference = q - value(batch.states)[0, :, 0]
        _adam(rates["value"], ((0.7 - (difference < 0).float()).abs() * difference**2).mean())
        with torch.no_grad():
            weights = torch.exp(3.0 * (q - value(batch.states)[0, :, 0])).clamp(max=100.0)
        policy = Normal(torch.tanh(actor.network(batch.states)[0]), actor.log_std.clamp(-5, 2).exp())
        _adam(rates["actor"], -(weights * policy.log_prob(batch.actions).sum(1)).mean())
        with torch.no_grad():
            goal = batch.rewards + 0.99 * batch.alive * value(batch.next_states)[0, :, 0]
        one, two = critic.network(batch.states, batch.actions).squeeze(2)
        _adam(rates["critic"], ((one - goal) ** 2 + (two - goal) ** 2).mean())
        with torch.no_grad():
            for slow, fast in zip(target.parameters(), critic.parameters(), strict=True):
                slow.copy_(0.9 * slow + 0.1 * fast)
    for name, reference in before.items():
        for own, other in zip(getattr(agent, name).parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6, msg=name)


def _adam(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def test_the_learning_rate_falls_by_half_a_cosine() -> None:
    assert [cosine(step, 100) for step in (0, 50, 100, 130)] == pytest.approx([1.0, 0.5, 0.0, 0.0], abs=1e-12)
    assert cosine(25, 100) == pytest.approx(0.5 + 0.5 * math.sqrt(0.5))


def test_a_run_that_broke_off_has_the_schedule_of_one_that_did_not(
    stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig("iql", dataset=stored, steps=60, checkpoint_every=20, config=QUICK, threads=1)
    whole = train(config, "whole", tmp_path, progress=False)
    update = IQL._update

    def fails(self: IQL) -> tuple[torch.Tensor, ...]:
        if self.num_timesteps == 47:
            raise OSError("power cut")
        return update(self)

    monkeypatch.setattr(IQL, "_update", fails)
    with pytest.raises(OSError, match="power cut"):
        train(dataclasses.replace(config), "broken", tmp_path, progress=False)
    monkeypatch.setattr(IQL, "_update", update)
    resumed = resume(tmp_path / "broken", progress=False)

    rows = [list(csv.DictReader((run.path / "metrics.csv").open())) for run in (whole, resumed)]
    assert rows[0] == rows[1]
    shown = [float(row["train/actor_learning_rate"]) for row in rows[0]]
    means = [np.mean([3e-4 * cosine(step, 60) for step in range(first, first + 10)]) for first in range(0, 60, 10)]
    assert shown == pytest.approx(means)
    one, two = load_agent(whole.final), load_agent(resumed.final)
    for own, other in zip(one.policy.state_dict().values(), two.policy.state_dict().values(), strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0)


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1"])
def test_attacks_use_its_policy_and_its_critic(env_id: str) -> None:
    agent = IQL(dataset=random_play(env_id), seed=0, **QUICK).learn(20)
    found = evaluate({"iql": agent}, "attacks:epsilons=0.2", env_id, SHORT, episodes=1, progress=False)
    assert not [row.error for row in found.rows if row.error]
    conditions = " ".join(row.condition for row in found.rows)
    assert all(kind in conditions for kind in ("random", "maximal_action_difference", "critic"))


SHORT = {"max_episode_steps": 40}


def random_play(env_id: str) -> OfflineDataset:
    """Three episodes of uniform actions."""
    env = gymnasium.make(env_id)
    env.action_space.seed(0)
    observations, actions, rewards, terminations, truncations, starts = [], [], [], [], [], [0]
    for e in range(3):
        observation, over = env.reset(seed=e)[0], False
        while not over:
            observations.append(observation)
            actions.append(env.action_space.sample())
            observation, reward, terminated, truncated, _ = env.step(actions[-1])
            over = terminated or truncated
            rewards.append(reward)
            terminations.append(terminated)
            truncations.append(truncated)
        observations.append(observation)
        starts.append(len(actions))
    return OfflineDataset(
        np.array(observations, np.float32), np.array(actions), np.array(rewards, np.float32), np.array(terminations),
        np.array(truncations), np.array(starts), env.observation_space, env.action_space, Description("agentgym/x-v0"),
    )  # fmt: skip


@pytest.mark.parametrize("discrete", [False, True])
def test_critics_outside_are_those_inside(pendulum: OfflineDataset, discrete: bool) -> None:
    data = chain_data(20) if discrete else pendulum
    agent = IQL(dataset=data, seed=0, **QUICK)
    batch: Batch = agent._sample()
    encoded = torch.nn.functional.one_hot(batch.actions, 2).float() if discrete else batch.actions
    outside = torch.cat(agent.critic(batch.states, encoded), dim=1).T
    torch.testing.assert_close(outside, agent.critic.q_values(batch.states, batch.actions))


def test_policies_have_the_densities_they_say() -> None:
    states, generator = torch.randn(7, 3), torch.Generator().manual_seed(0)
    gaussian = GaussianActor(Normalizer(3), 3, (8,), 2, bounded=True)
    gaussian.log_std.data = torch.tensor([-9.0, 0.5])  # the first is below the least that is allowed
    actions = torch.rand(7, 2) * 2 - 1
    expected = Normal(torch.tanh(gaussian.network(states)[0]), torch.tensor([-5.0, 0.5]).exp())
    torch.testing.assert_close(gaussian.log_prob(states, actions), expected.log_prob(actions).sum(1))
    torch.testing.assert_close(gaussian.distribution(states).mean, expected.mean)
    assert gaussian.act(states, False, generator).abs().max() <= 1

    categorical = CategoricalActor(Normalizer(3), 3, (8,), 4)
    chosen = torch.tensor([0, 1, 2, 3, 0, 1, 2])
    expected_choice = Categorical(logits=categorical.network(states)[0])
    torch.testing.assert_close(categorical.log_prob(states, chosen), expected_choice.log_prob(chosen))
    assert categorical.act(states, True, generator).tolist() == expected_choice.probs.argmax(1).tolist()
    many = categorical.act(states[:1].expand(20000, -1), False, generator)
    frequencies = torch.bincount(many, minlength=4) / 20000
    torch.testing.assert_close(frequencies, expected_choice.probs[0].detach(), atol=0.02, rtol=0)


def test_rewards_are_brought_to_the_range_of_returns_then_mapped(pendulum: OfflineDataset) -> None:
    agent = IQL(dataset=pendulum, seed=0, **QUICK)
    returns = np.add.reduceat(agent.rewards.numpy().astype(np.float64), pendulum.starts[:-1])
    assert returns.max() - returns.min() == pytest.approx(1000, rel=1e-4)
    mapped = IQL(dataset=pendulum, seed=0, preset="antmaze", layers=(16,))
    np.testing.assert_allclose(mapped.rewards.numpy(), pendulum.rewards - 1, rtol=1e-6)
    with pytest.raises(InvalidParameter, match="return_range=0"):
        IQL(dataset=dataclasses.replace(pendulum, rewards=np.zeros_like(pendulum.rewards)), **QUICK)


@pytest.mark.parametrize("setting", [{"expectile": 1.0}, {"beta": -1.0}, {"tau": 0.0}])
def test_settings_out_of_range_are_refused(pendulum: OfflineDataset, setting: dict) -> None:
    with pytest.raises(InvalidParameter, match=next(iter(setting))):
        IQL(dataset=pendulum, **setting)


@pytest.mark.slow
def test_it_beats_the_best_episode_of_its_data(pendulum: OfflineDataset) -> None:
    agent = IQL(
        dataset=pendulum, env="Pendulum-v1", seed=0, layers=(64, 64), learning_rate=1e-3, return_range=200.0,
        evaluate_every=0, evaluation_episodes=20,
    ).learn(3000)  # fmt: skip
    assert agent.evaluate() > pendulum.returns.max() + 100
