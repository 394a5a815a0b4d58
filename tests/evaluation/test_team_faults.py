"""Faults that need a team's networks: budgets, victims, onsets, and what each kind does."""

import numpy as np
import pytest
import torch

from agentgym.agents import HATRPO, MADDPG
from agentgym.envs.particles.spread import SimpleSpreadEnv, SimpleSpreadVectorEnv
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.evaluation.attacks.team import KINDS, FaultyTeam, draw_truth

SEEDS = range(40, 60)


@pytest.fixture(scope="module")
def team():
    return MADDPG(env=SimpleSpreadEnv(), seed=0, actor_layers=(16,), critic_layers=(16,), buffer_size=100)


def seen_of(step=3):
    env = SimpleSpreadVectorEnv(len(SEEDS))
    observation, _ = env.reset(seed=list(SEEDS))
    env.action_space.seed(0)
    for _ in range(step):
        observation = env.step(env.action_space.sample())[0]
    return observation


def test_truth_is_uniform_and_fixed_by_the_seeds():
    truth, again = (draw_truth(range(600), 3, 0.1) for _ in range(2))
    assert np.array_equal(truth.victim, again.victim)
    assert np.array_equal(truth.onset, again.onset)
    assert np.bincount(truth.victim, minlength=3).min() > 150
    assert set(truth.onset.tolist()) == set(range(5, 16))
    one = draw_truth([7], 3, 0.1)
    assert (one.victim[0], one.onset[0]) == (truth.victim[7], truth.onset[7])  # of the seed, not of its place
    short = draw_truth(range(9), 3, 0.1, 2, 2, duration=3, victim=1)
    assert [short.now(t).all() for t in range(7)] == [False, False, True, True, True, False, False]
    assert (short.victim == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_victim_acts_otherwise_and_only_while_it_lasts(team, kind):
    truth = draw_truth(SEEDS, 3, 3.0, 2, 4, duration=2)
    faulty, changed, observation = FaultyTeam(team, kind, truth, SEEDS), 0, seen_of()
    clean = team.predict(observation, deterministic=True)[0]
    for t in range(8):
        differs = faulty.predict(observation)[0] != clean
        victims = differs[np.arange(len(SEEDS)), truth.victim]
        assert differs.sum() == victims.sum()
        assert not victims[~truth.now(t)].any()
        changed += int(victims.sum())
    assert changed > 3


@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
def test_gradient_attacks_keep_their_budget_and_leave_dead_columns(team, kind):
    truth = draw_truth(SEEDS, 3, 0.2)
    faulty = FaultyTeam(team, kind, truth, SEEDS, columns=14)
    windows = torch.as_tensor(seen_of())
    moved = (faulty._attacked(windows) - windows).abs()
    assert moved.max() <= 0.2 + 1e-6
    assert moved.max() > 0.19
    assert (moved[..., 14:] == 0).all()
    network, own = team.policy.network, team.policy.network(windows).argmax(-1, keepdim=True)
    cost = [-torch.log_softmax(network(x), -1).gather(-1, own).mean() for x in (windows, faulty._attacked(windows))]
    assert cost[1] > cost[0]
    harmless = FaultyTeam(team, kind, draw_truth(SEEDS, 3, 0.0, 0, 0), SEEDS)
    assert np.array_equal(harmless.predict(seen_of())[0], team.predict(seen_of(), deterministic=True)[0])


def test_worst_is_the_least_valued_choice_and_weights_differ_by_episode(team):
    truth = draw_truth(SEEDS, 3, 0.5, 0, 0)
    observation = seen_of()
    windows, alive = torch.as_tensor(observation), torch.ones(len(SEEDS), 3, dtype=torch.bool)
    found = FaultyTeam(team, "worst", truth, SEEDS).predict(observation)[0]
    for row in (0, 7):
        joint = np.repeat(team.predict(observation[row], deterministic=True)[0][None], 5, 0)
        joint[:, truth.victim[row]] = range(5)
        asked = team.layout.from_environment(joint)
        values = team.policy.q(windows[row].expand(5, -1, -1), asked, alive[:5]).mean(1)
        assert found[row, truth.victim[row]] == values.argmin()
    faulty = FaultyTeam(team, "weights", truth, SEEDS)
    weight = next(iter(faulty._weights.values()))
    own = next(team.policy.network.parameters()).detach()
    assert ((weight / own - 1).std() - 0.5).abs() < 0.05
    assert not torch.equal(weight[0], weight[1])
    assert torch.equal(next(team.policy.network.parameters()).detach(), own)  # the team itself is as before


def test_what_a_team_lacks_is_said():
    boxes = MADDPG(env=SimpleSpreadEnv(continuous_actions=True), seed=0, actor_layers=(8,), buffer_size=100)
    values = HATRPO(env=SimpleSpreadEnv(), seed=0, actor_layers=(8,))
    truth = draw_truth(SEEDS, 3, 0.5)
    FaultyTeam(boxes, "worst", truth, SEEDS).predict(seen_of())
    FaultyTeam(values, "weights", truth, SEEDS).predict(seen_of())
    for agent, kind, error in (
        (boxes, "fgsm", InvalidParameter), (values, "worst", InvalidParameter), (object(), "fgsm", InvalidParameter),
        (values, "sgd", UnknownId),
    ):  # fmt: skip
        with pytest.raises(error):
            FaultyTeam(agent, kind, truth, SEEDS)
    with pytest.raises(InvalidParameter, match="20 faults for 3"):
        FaultyTeam(values, "fgsm", truth, range(3))
    with pytest.raises(InvalidParameter, match="20 faults for 2"):
        FaultyTeam(values, "fgsm", truth, SEEDS).predict(seen_of()[:2])
    for wrong in ({"size": -1.0}, {"size": 0.1, "latest": 3}, {"size": 0.1, "victim": 3}, {"size": 0.1, "duration": 0}):
        with pytest.raises(InvalidParameter):
            draw_truth(SEEDS, 3, **wrong)
