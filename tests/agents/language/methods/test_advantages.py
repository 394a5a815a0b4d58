"""Advantages against numbers worked out by hand."""

import math

import pytest
import torch

from agentgym import catalog
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.methods.gigpo import discounted
from agentgym.agents.language.methods.plugin import find_estimator
from tests.agents.language.batches import batch, close, episode


def advantages(name, made, **settings):
    return find_estimator(name)(made, LanguageConfig(**settings))


def two_groups():
    return batch(
        episode(0, (1.0,)), episode(0, (0.0, 0.0, 0.0)),  # a short success and a long failure
        episode(1, (0.0, 1.0)), episode(1, (0.0, 0.0)), episode(1, (0.0, 0.0)), episode(1, (0.0, 1.0)),
    )  # fmt: skip


def test_grpo():
    std = math.sqrt(0.5)  # unbiased, of (1, 0)
    third = math.sqrt(1 / 3)  # of (1, 0, 0, 1)
    close(
        advantages("grpo", two_groups()),
        [0.5 / std, -0.5 / std, 0.5 / third, -0.5 / third, -0.5 / third, 0.5 / third],
    )


def test_a_group_without_differences_has_no_advantages():
    close(advantages("grpo", batch(episode(0, (1.0,)), episode(0, (1.0,)))), [0.0, 0.0])


def test_dr_grpo_does_not_divide():
    close(advantages("dr-grpo", two_groups()), [0.5, -0.5, 0.5, -0.5, -0.5, 0.5])


def test_over_turns_long_episodes_weigh_more():
    found = advantages("dr-grpo", two_groups(), group_statistics="turns")
    close(found[:2], [1 - 0.25, -0.25])  # the mean of (1, 0, 0, 0)
    divided = advantages("grpo", two_groups(), group_statistics="turns")
    close(divided[:2], [0.75 / 0.5, -0.25 / 0.5])  # its unbiased standard deviation is 0.5


def test_rloo_leaves_itself_out():
    close(advantages("rloo", two_groups()), [1.0, -1.0, 1 - 1 / 3, -2 / 3, -2 / 3, 1 - 1 / 3])
    close(advantages("rloo", batch(episode(0, (1.0,)))), [0.0])


def test_discounted():
    close(discounted(torch.tensor([[1.0, 0.0, 2.0]]), 0.5), [[1.5, 1.0, 2.0]])


def test_gigpo_compares_turns_in_equal_states():
    # Both begin in state 0; then one goes to 1 and wins, the other to 2, and back to 0, and fails.
    made = batch(
        episode(0, (0.0, 1.0), anchors=[0, 1]),
        episode(0, (0.0, 0.0, 0.0), anchors=[0, 2, 0]),
    )
    # Returns with gamma 0.5: (0.5, 1), (0, 0, 0). State 0: (0.5, 0, 0), mean 1/6. States 1 and 2: alone.
    found = advantages("gigpo-mean", made, gamma=0.5, step_weight=2.0)
    sixth = 1 / 6
    close(found[0, :2], [0.5 + 2 * (0.5 - sixth), 0.5])
    close(found[1], [-0.5 - 2 * sixth, -0.5, -0.5 - 2 * sixth])


def test_gigpo_keeps_groups_apart():
    made = batch(episode(0, (1.0,), anchors=[0]), episode(1, (0.0,), anchors=[0]))
    close(advantages("gigpo", made), [[0.0], [0.0]])


@pytest.mark.parametrize(
    "name", [entry.id for entry in catalog.entries("estimator") if not catalog.load(entry).PER_DECISION]
)
def test_every_estimator_gives_a_value_for_each_episode_or_turn(name):
    made = two_groups()
    values = advantages(name, made)
    assert values.shape in (made.turns.shape, made.rewards.shape)
    assert made.at_decisions(values).shape == made.mask.shape


# Returns that are equal but for rounding


def rounded_alike(generator, worth=1.0, turns=40, paid=-0.1, times=7):
    """Eight episodes of one return: ``worth`` at the end, and ``paid`` in any seven turns, the last one among them."""
    episodes = []
    for number in range(8):
        rewards = torch.zeros(turns)
        places = torch.randperm(turns - 1, generator=generator)[: times - number % 2]
        rewards[places] += paid
        rewards[-1] += worth
        rewards[-1] += paid * (number % 2)  # rounded at another size than alone
        episodes.append(episode(0, rewards.tolist(), anchors=[0] * turns))
    return batch(*episodes)


@pytest.mark.parametrize("over", ["episodes", "turns"])
@pytest.mark.parametrize("name", ["grpo", "dr-grpo", "rloo"])
def test_returns_that_differ_by_rounding_teach_nothing(name, over):
    generator = torch.Generator().manual_seed(0)
    differ = 0
    for worth in (1.0, 0.3, 100.0, 0.0):
        made = rounded_alike(generator, worth)
        differ += len(set(made.returns().tolist())) > 1
        assert not advantages(name, made, group_statistics=over, gamma=1.0).any(), worth
    assert differ > 1  # there was something to be mistaken


@pytest.mark.parametrize("name", ["gigpo", "gigpo-mean"])
def test_states_whose_returns_differ_by_rounding_teach_nothing(name):
    # The first turns are in one state, and worth 0.1 + 0.6 or 0.7; the second ones in states of their own.
    made = batch(episode(0, (0.1, 0.6), anchors=[0, 1]), episode(0, (0.7, 0.0), anchors=[0, 2]))
    assert made.returns()[0] != made.returns()[1]
    assert not advantages(name, made, gamma=1.0).any()
    # Discounted by a half, 0.1 and 1.2 are worth 0.7 as well: what is left are the episodes' own advantages.
    made = batch(episode(0, (0.1, 1.2), anchors=[0, 1]), episode(0, (0.7, 0.0), anchors=[0, 2]))
    found = advantages(name, made, gamma=0.5)
    assert torch.equal(found[:, 0], advantages("grpo" if name == "gigpo" else "dr-grpo", made))


def added_up(values):
    return torch.zeros(1).index_add_(0, torch.zeros(len(values), dtype=torch.int64), values)


@pytest.mark.parametrize("difference", [0.1, 1e-4, 2e-6])
def test_real_differences_are_what_they_were(difference):
    generator = torch.Generator().manual_seed(0)
    made = rounded_alike(generator)
    made.rewards[3, 0] += difference
    returns = made.rewards.sum(1)
    mean = added_up(returns) / 8
    std = (added_up((returns - mean) ** 2) / 7).sqrt()
    assert torch.equal(advantages("dr-grpo", made), returns - mean)
    assert torch.equal(advantages("grpo", made), (returns - mean) / (std + 1e-6))
    assert torch.equal(advantages("rloo", made), (returns - mean) * 8.0 / 7.0)


def test_one_group_of_rounding_does_not_touch_another():
    alike, again = (0.1, 0.6), (0.7, 0.0)
    made = batch(episode(0, alike), episode(0, again), episode(1, alike), episode(1, (1.0, 0.0)))
    alone = batch(episode(1, alike), episode(1, (1.0, 0.0)))
    found = advantages("grpo", made)
    assert not found[:2].any()
    assert torch.equal(found[2:], advantages("grpo", alone))


def test_numbers_that_are_not_finite_are_never_equal():
    for worth in (math.inf, math.nan):
        assert not (advantages("dr-grpo", batch(episode(0, (worth,)), episode(0, (worth,)))) == 0).any()
