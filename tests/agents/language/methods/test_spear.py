"""SPEAR on batches made by hand: bonus, admission, recalibration, trigger, ageing, weights."""

import math

import pytest
import torch

from agentgym.agents.language.methods.plugin import make_plugins
from agentgym.agents.language.methods.spear import SPEARPlugin
from tests.agents.language.batches import batch, close, episode


def generator():
    return torch.Generator().manual_seed(0)


def finished(method, iteration, *episodes, advantages):
    """Show the method one iteration's batch with these advantages, one number an episode."""
    made = batch(*episodes)
    made.advantages = torch.tensor(advantages)[:, None] * made.mask
    method.finish(made, iteration)
    return made


def test_bonus_counts_turns_and_fades_out():
    method = SPEARPlugin(bonus=0.1, bonus_length=200)
    assert [method.bonus_weight(t) for t in (0, 100, 200, 201)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
    made = batch(episode(0, (0.0, 1.0)), episode(0, (0.0,) * 15))
    method.shape_rewards(made, 100)
    close(made.returns(), [1 + 0.1 * 0.5 * 0.2, 0.1 * 0.5 * 1.0])
    assert made.rewards[0, 1] > 1  # on the last turn
    assert SPEARPlugin(bonus_mode="none").bonus_weight(0) == 0
    assert SPEARPlugin(bonus_mode="constant").bonus_weight(10_000) == 1


def test_only_what_was_better_than_its_group_enters():
    method = SPEARPlugin()
    finished(method, 0, episode(0, (1.0,)), episode(0, (0.0,)), episode(1, (1.0,)), advantages=[0.5, -0.5, 0.0])
    assert [(one.reward, one.advantage, one.iteration) for one in method.stored] == [(1.0, 0.5, 0)]


def test_admission_averages_over_decisions_that_count():
    method = SPEARPlugin()
    made = batch(episode(0, (0.0, 1.0)))
    made.advantages = torch.tensor([[1.0, -3.0]])
    made.mask = torch.tensor([[True, False]])
    method.finish(made, 0)
    assert len(method.stored) == 1


def test_baseline_is_the_median_of_group_means():
    method = SPEARPlugin(baseline_groups=3)
    finished(method, 0, episode(0, (1.0,)), episode(0, (0.0,)), episode(1, (1.0,)), advantages=[0.0] * 3)
    assert method.means == [0.5, 1.0]
    assert method.baseline()[0] == pytest.approx(0.75)
    finished(method, 1, episode(0, (0.0,)), episode(1, (0.25,)), advantages=[0.0] * 2)
    assert method.means == [1.0, 0.0, 0.25]  # the oldest went
    assert method.baseline()[0] == pytest.approx(0.25)


def filled(count=7, **settings):
    """A buffer with ``count`` successes and a failure with positive advantage; the baseline is 0.5."""
    method = SPEARPlugin(**settings)
    good = [episode(0, (1.0,), logps=[-2.0]) for _ in range(count)]
    finished(method, 3, *good, episode(0, (0.25,)), advantages=[0.5] * count + [0.1])
    method.means, method.deviations = [0.5], [0.25]
    return method


def test_the_trigger_is_one_and_a_half_times_the_capacity():
    assert filled(6, capacity=4).replay(5, generator()) is None  # 6 is not above 6
    method = filled(7, capacity=4)
    assert method.replay(5, generator()) is not None
    assert method.stored == []  # used once
    assert method.numbers["replayed"] == 4


def test_replay_recalibrates_and_drops_what_is_below_the_baseline():
    method = filled(7, capacity=4, trigger=0.5)
    drawn = method.replay(5, generator())
    assert len(drawn.batch) == 4  # the largest power of two in min(7 good ones, 4)
    close(drawn.batch.advantages, torch.full((4, 1), 0.5))  # 1 - 0.5; the failure's -0.25 is dropped
    close(drawn.batch.old_logp, torch.full((4, 1), -2.0))  # as those had it who acted then
    assert method.numbers["age"] == 2
    three = filled(3, capacity=4, trigger=0.5).replay(5, generator())
    assert len(three.batch) == 2


def test_recalibration_by_deviation_or_by_decay():
    scaled = filled(7, capacity=4, divide_by_std=True).replay(5, generator())
    close(scaled.batch.advantages, torch.full((4, 1), 0.5 / (0.25 + 1e-6)))
    decayed = filled(7, capacity=8, trigger=0.5, decay=0.5).replay(5, generator())
    assert sorted(decayed.batch.advantages[:, 0].tolist()) == pytest.approx([0.05] + [0.25] * 7)


def test_old_episodes_leave():
    method = SPEARPlugin(tolerance=5)
    finished(method, 0, episode(0, (1.0,)), advantages=[1.0])
    finished(method, 4, episode(0, (1.0,)), advantages=[1.0])
    assert [one.iteration for one in method.stored] == [0, 4]
    finished(method, 5, episode(0, (0.0,)), advantages=[-1.0])
    assert [one.iteration for one in method.stored] == [4]


def test_the_weight_fades_in():
    weights = [filled(7, capacity=4, weight=2.0, weight_length=100).replay(t, generator()).weight for t in (0, 50, 100)]
    assert weights == pytest.approx([0.0, 1.0, 2.0])
    late = filled(7, capacity=4, weight=2.0, weight_length=100).replay(101, generator())
    assert late.weight == 2.0


def test_replay_has_clipping_bounds_of_its_own():
    clipping = filled(7, capacity=4, clip_share=0.5, clip_low=1.0, clip_high=40.0).replay(5, generator()).surrogate
    assert (clipping.share, clipping.low, clipping.high) == (0.5, 1.0, 40.0)
    assert filled(7, capacity=4, clip_share=0.0).replay(5, generator()).surrogate is None


def test_state_goes_through_a_checkpoint():
    from agentgym.runs.state import pack, unpack

    method = filled(7, capacity=4)
    other = SPEARPlugin(capacity=4)
    other.restore(unpack(pack(method.state())))
    first, second = method.replay(5, generator()), other.replay(5, generator())
    assert torch.equal(first.batch.ids, second.batch.ids)
    assert torch.equal(first.batch.advantages, second.batch.advantages)
    assert (method.means, method.deviations) == (other.means, other.deviations)


def test_presets():
    assert make_plugins(("spear:preset=paper",))["spear"].weight_length == 100
    released = make_plugins(("spear:preset=as_released,capacity=16",))["spear"]
    assert (released.weight_length, released.capacity) == (200, 16)
    assert math.isclose(SPEARPlugin().bonus_weight(100), 0.5)


def test_what_rounding_lifts_above_the_baseline_is_not_replayed():
    method = SPEARPlugin(capacity=2, trigger=0.5, divide_by_std=True, clip_share=0.0)
    # Returns of 0.7, added up or not.
    finished(method, 0, episode(0, (0.1, 0.6)), episode(0, (0.1, 0.6)), advantages=[1.0] * 2)
    method.means = [float(batch(episode(0, (0.7, 0.0))).returns()[0])]
    assert method.stored[0].reward != method.means[0]
    assert method.replay(1, generator()) is None
    assert method.numbers["above_baseline"] == 0
    method.means = [0.2]  # and a real distance is what it was
    replay = method.replay(1, generator())
    expected = (method_reward() - 0.2) / (0.0 + 1e-6)
    close(replay.batch.advantages[0, 0], expected)


def method_reward():
    return float(batch(episode(0, (0.1, 0.6))).returns()[0])


def test_groups_of_equal_returns_have_no_deviation():
    method = SPEARPlugin()
    finished(method, 0, episode(0, (0.1, 0.6)), episode(0, (0.7, 0.0)), advantages=[0.0] * 2)
    assert method.deviations == [0.0]
