"""Plug-ins of the second ring that change rewards, batches and rollouts, against values worked out by hand."""

import gymnasium
import pytest
import torch

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.methods.aepo import AEPO
from agentgym.agents.language.methods.b_star import BStar, balance
from agentgym.agents.language.methods.control import RewardControl
from agentgym.agents.language.methods.dapo import DynamicSampling, Overlong
from agentgym.agents.language.methods.laser import LASER
from agentgym.agents.language.methods.pessimism import Pessimism, pessimistic
from agentgym.agents.language.methods.plugin import find_estimator, make_plugins
from agentgym.contracts.environment import Diagnosing
from agentgym.errors import InvalidParameter
from tests.agents.language.batches import batch, close, episode
from tests.agents.language.worlds import homes, small


def seeded(plugin):
    plugin.generator = torch.Generator().manual_seed(0)
    return plugin


def returns(plugin, *episodes):
    made = batch(*episodes)
    plugin.shape_rewards(made, 0)
    return made.returns()


# Rewards


def test_overlong():
    lengths = torch.tensor([16_000.0, 16_384.0, 18_432.0, 21_000.0])
    paper, released = (make_plugins((f"overlong:preset={one}",))["overlong"] for one in ("paper", "as_released"))
    close(paper.penalties(lengths), [0.0, 0.0, -0.5, -1.0])
    close(released.penalties(lengths)[-1], -1.127, 1e-3)
    close(returns(Overlong(limit=4, buffer=2, unit="turns"), episode(0, (0, 0, 1.0)), episode(0, (1.0,))), [0.5, 1.0])
    close(returns(Overlong(limit=4, buffer=2), episode(0, (0, 0, 1.0))), [0.5])  # one token a turn
    with pytest.raises(InvalidParameter, match="buffer of 5 is longer"):
        Overlong(limit=4, buffer=5)


def test_laser():
    def win(turns, group=0):
        return episode(group, (0.0,) * (turns - 1) + (1.0,))

    close(returns(LASER(target=10), win(8), win(12), episode(0, (0.0,) * 3)), [1.5, 1.0, 0.0])
    paper = make_plugins(("laser:preset=paper,target=10",))["laser"]
    void = episode(0, (0.0,), problems=["empty"])
    close(returns(paper, win(8), episode(0, (0.0,) * 3), void), [1.5, -0.5, -1.0])
    effort = LASER(form="effort", target=2)
    close(returns(effort, win(8), episode(0, (0.0,) * 3), episode(0, (0.0,) * 2)), [1.0, 0.5, 0.0])


def test_targets_of_laser_by_difficulty():
    # Bands: all of the first group succeed, one of two of the second, none of the third.
    rows = [(0, 1.0, 3), (0, 1.0, 9), (1, 1.0, 4), (1, 0.0, 6), (2, 0.0, 5), (2, 0.0, 7)]
    made = batch(*(episode(group, (0.0,) * (turns - 1) + (won,)) for group, won, turns in rows))
    method = LASER(form="difficulty", target=12, every=2)
    assert method.bands(made).tolist() == [0, 0, 1, 1, 2, 2]
    for iteration in range(2):
        method.shape_rewards(made, iteration)
        method.finish(made, iteration)
    assert method.targets == [3, 4, 7]
    assert LASER.shortest(list(range(1, 11)), 5) == 2  # a fifth of them
    assert LASER.shortest(list(range(1, 11)), 2) == 5
    other = LASER(form="difficulty")
    other.restore(method.state())
    assert other.targets == method.targets
    close(returns(other, episode(0, (0, 0, 1.0)), episode(0, (0, 0, 0, 1.0))), [1.5, 1.0])


def test_controls():
    episodes = [episode(0, (0.0, 1.0)), episode(0, (0.3,)), episode(0, (0.0,))]
    made = batch(*episodes)
    RewardControl("inverted").shape_rewards(made, 0)
    close(made.rewards, [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert made.won.tolist() == [False, False, True]  # so are those told who read success
    close(returns(RewardControl("constant"), *episodes), [1.0] * 3)
    many = [episode(n // 8, (0.0,)) for n in range(4096)]
    found = returns(seeded(RewardControl("random")), *many)
    assert found.mean() == pytest.approx(0.5, abs=0.03)
    sums = found.view(-1, 8).sum(1)
    dead = ((sums == 0) | (sums == 8)).float().mean()
    assert float(dead) == pytest.approx(2 * 0.5**8, abs=0.01)
    assert torch.equal(found, returns(seeded(RewardControl("random")), *many))
    constant = batch(*episodes)
    RewardControl("constant").shape_rewards(constant, 0)
    for name, value in (("grpo", 0.0), ("rloo", 0.0), ("asymre", 0.1)):
        close(find_estimator(name)(constant, LanguageConfig()), [value] * 3)


def test_pessimism():
    judged = torch.tensor([[1.0], [2.0], [3.0]])
    close(pessimistic(judged, "uwo", 0.5, True), [1.5])
    close(pessimistic(judged, "uwo", 0.5, False), [1.666667])
    close(pessimistic(judged, "min", 0.5, False), [1.0])
    many = [episode(0, (1.0,)) for _ in range(2000)]
    close(returns(seeded(Pessimism(noise=0.0)), *many[:3]), [1.0] * 3)
    worst = returns(seeded(Pessimism("min", noise=0.1)), *many)
    assert float(worst.mean()) == pytest.approx(1 - 0.1163, abs=0.01)  # the least of five normal numbers
    uncertain = returns(seeded(Pessimism("uwo", 0.5, True, noise=0.2)), *many)
    assert float(uncertain.mean()) == pytest.approx(1 - 0.5 * 0.04, abs=0.01)


# Rollouts


def test_balance():
    for pair, value in (((4, 8), 0.25), ((8, 10), 0.8), ((10, 16), 0.625)):
        assert balance([pair], 8) == pytest.approx(value)
    assert balance([(4, 8), (8, 10)], 8) == pytest.approx(0.525)


def test_the_best_temperature_is_kept():
    method = BStar(temperatures=(0.5, 1.0, 2.0), every=5)
    won = {0.5: 1, 1.0: 3, 2.0: 2}
    chosen = []
    for iteration in range(7):
        chosen.append(method.acting(iteration, LanguageConfig()).temperature)
        made = batch(*(episode(0, (float(n < won[chosen[-1]]),)) for n in range(4)))
        method.finish(made, iteration)
    assert chosen == [0.5, 1.0, 2.0, 1.0, 1.0, 0.5, 1.0]
    other = BStar(temperatures=(0.5, 1.0, 2.0), every=5)
    other.restore(method.state())
    assert other.acting(7, LanguageConfig()).temperature == 2.0
    assert BStar().acting(0, LanguageConfig()) is None


def test_tasks_are_played_until_enough_are_alive():
    settings = LanguageConfig(tasks=2, group_size=2)
    method = DynamicSampling(rounds=3)
    dead = [episode(0, (0.0,)), episode(0, (0.0,)), episode(1, (1.0,)), episode(1, (1.0,))]
    asked = method.extend(0, dead, (), settings)
    assert [start.group for start in asked.starts] == [2, 2, 3, 3]
    alive = [episode(group, (float(n),)) for group in (2, 3) for n in range(2)]
    assert method.extend(0, dead + alive, (), settings) is None
    assert method.numbers == {"rounds": 2.0, "live": 2.0}
    assert DynamicSampling(rounds=1).extend(0, dead, (), settings) is None  # goes on with what there is
    made = batch(*dead, *alive)
    made.rewards[0, 0] = 0.1  # a bonus does not revive a group
    assert method.keep(made).any(1).tolist() == [False] * 4 + [True] * 4


def test_aepo_steers_by_the_last_entropy():
    settings = LanguageConfig(tasks=8, group_size=2)
    method = AEPO(target=0.5)
    asked = method.extend(0, (), (), settings)
    assert asked.temperature == 1.2
    assert asked.apart
    assert [start.group for start in asked.starts] == [0, 0, 1, 1]
    assert method.extend(0, (), [episode()], settings) is None
    method.finish(batch(episode(0, (0.0,), entropies=[0.7])), 0)
    assert method.extend(1, (), (), settings).temperature == 0.8
    other = AEPO()
    other.restore(method.state())
    assert other.last == pytest.approx(0.7)


def test_aepo_replaces_rows():
    made = batch(*(episode(0, (0.0,)) for _ in range(8)))
    apart = batch(episode(0, (1.0, 0.0)), episode(0, (0.0,)), episode(0, (1.0,)))
    apart.advantages = torch.tensor([[0.5, 0.5], [-0.5, 0.0], [0.04, 0.0]])
    mixed = AEPO(replaced=0.25).mix(made, apart)
    assert len(mixed) == 8
    close(mixed.advantages[0], [1.0, 1.0])
    assert not mixed.advantages[1:].any()
    assert mixed.won.tolist() == [True] + [False] * 7
    good = batch(*(episode(0, (1.0,)) for _ in range(3)))
    good.advantages = torch.ones(3, 1)
    for entropy, count in ((0.0, 2), (0.9, 1)):
        method = AEPO(replaced=0.25)
        method.last = entropy
        assert int(method.mix(made, good).won.sum()) == count
    bad = batch(episode(0, (0.0,)))
    assert AEPO().mix(made, bad) is made


# Diagnosis, for R3L


def test_households_tell_where_an_episode_went_wrong():
    worlds = homes(2).unwrapped
    assert isinstance(worlds, Diagnosing)
    env = gymnasium.make("agentgym/Household-v0", size="tiny", max_turns=6).unwrapped
    env.reset(seed=3)
    plan = env.plan()
    assert worlds.diagnose(3, plan) is None
    turn, advice = worlds.diagnose(3, [plan[0], "look", *plan[1:]])
    assert (turn, advice) == (1, plan[1])
    assert worlds.diagnose(3, ["look"]) == (0, plan[0])


def test_r3l_retries():
    agent = small(advantage="r3l", ratio="none", methods=(), skip_dead=False)
    batches, update = [], agent.learner.update

    def note(batch_, iteration, apart=None):
        batches.append(batch_)
        return update(batch_, iteration, apart)

    agent.learner.update = note
    agent.learn(1)
    (made,) = batches
    sizes = made.group.bincount().tolist()
    assert all(2 < size <= 4 for size in sizes)  # two episodes each, and retries
    retried = made.at.ge(0) & ~made.mask
    assert made.rollout_logp.ne(made.old_logp).any()  # of hints
    assert not made.advantages[retried].any()
    untold = small(advantage="r3l:hint=false", ratio="none", methods=(), skip_dead=False)
    untold.learn(1)
    with pytest.raises(InvalidParameter, match="diagnosis"):
        agent.learner.estimator.enter(gymnasium.make_vec("CartPole-v1", 2))
