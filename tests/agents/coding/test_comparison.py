"""Comparisons of turn controls: paired, exact, and honest about what is unknown."""

import gymnasium as gym
import numpy as np
import pytest
from scipy.stats import binom

import agentgym  # noqa: F401
from agentgym.agents.coding.comparison import calibrated, compare, play, summarised
from agentgym.agents.coding.costs import Price, Usage
from agentgym.agents.coding.models import Reply, Simulated
from agentgym.agents.coding.trajectory import Trajectory, Turn
from agentgym.errors import InvalidParameter
from agentgym.turns.control import Dynamic, Fixed, Unrestricted
from agentgym.turns.paired import hypervolume, mcnemar

PRICE = Price(input=1.0, cached_read=1.0, cache_write=1.0, output=1.0, date="test")


def run(seed, solved, turns, kind="scripted", exit="done"):
    made = [Turn(Reply("bash x", Usage(10, output=0)), "bash", "") for _ in range(turns)]
    return Trajectory(seed, "m", kind, made, exit, solved, "agent")


def test_summaries_are_exact():
    base = [run(seed, seed < 6, 10) for seed in range(10)]
    cut = [run(seed, seed < 3, 5, exit="limit") for seed in range(10)]
    rows = summarised({"all": base, "cut": cut}, PRICE)
    assert (rows["all"].solved, rows["all"].turns, rows["all"].p) == (0.6, 10, 1.0)
    assert rows["all"].difference == (0, 0, 0)
    assert rows["all"].saving == (0, 0, 0)
    row = rows["cut"]
    assert (row.solved, row.turns, row.exits) == (0.3, 5, {"limit": 1.0})
    assert row.cost == pytest.approx(5 * 10 / 1e6)
    assert row.cost_solved == pytest.approx(10 * 50 / 1e6 / 3)
    assert row.saving == pytest.approx((0.5, 0.5, 0.5))
    value, low, high = row.difference
    assert value == pytest.approx(-0.3)
    assert low < value < high
    assert row.p == pytest.approx(2 * binom.pmf(0, 3, 0.5))


def test_what_is_unknown_stays_unknown():
    base = [run(0, True, 3), run(1, None, 3), run(2, False, 3)]
    rows = summarised({"a": base}, PRICE)
    assert (rows["a"].tasks, rows["a"].no_verdict, rows["a"].solved) == (2, 1, 0.5)
    base[0].turns[0] = Turn(Reply("bash x", None), "bash", "")
    assert summarised({"a": base}, PRICE)["a"].cost is None
    assert summarised({"a": base}, PRICE)["a"].saving is None
    assert summarised({"a": [run(0, False, 3)]}, PRICE)["a"].cost_solved is None
    with pytest.raises(InvalidParameter, match="verdict"):
        summarised({"a": [run(0, None, 3)]}, PRICE)


def test_tables_do_not_mix():
    with pytest.raises(InvalidParameter, match="same tasks"):
        summarised({"a": [run(0, True, 1)], "b": [run(1, True, 1)]}, PRICE)
    with pytest.raises(InvalidParameter, match="share a table"):
        summarised({"a": [run(0, True, 1)], "b": [run(0, True, 1, kind="real")]}, PRICE)


def test_mcnemar_counts_discordant_pairs():
    one, other = np.array([1, 1, 1, 0, 0], bool), np.array([1, 0, 0, 0, 1], bool)
    assert mcnemar(one, other) == 1.0
    assert mcnemar(np.ones(8, bool), np.zeros(8, bool)) == pytest.approx(2 / 2**8)


def test_hypervolume():
    assert hypervolume([(1, 0.5), (2, 0.8)], 3) == pytest.approx(0.5 + 0.8)
    assert hypervolume([(1, 0.5), (2, 0.4)], 3) == pytest.approx(1.0)
    assert hypervolume([(5, 1.0)], 3) == 0


def test_strategies_come_from_other_tasks():
    controls = calibrated([2, 4, 6, 8, 10, 12, 14, 16])
    assert [control.limit for name, control in controls.items() if isinstance(control, Fixed)] == [4, 8, 12]
    dynamic = controls["dynamic, automatic"]
    assert isinstance(dynamic, Dynamic)
    assert (dynamic.start, dynamic.step, dynamic.cap) == (8, 4, 16)


def test_the_population_is_compared_on_the_same_tasks():
    env = gym.make("agentgym/CodeRepairMedium-v0").unwrapped
    turns = [len(run.turns) for run in play(env, Simulated, Unrestricted(), range(15))]
    rows = compare(env, Simulated, calibrated(turns), range(100, 115), PRICE)
    base = rows["unrestricted"]
    assert base.turns >= rows["fixed, 75 %"].turns >= rows["fixed, 50 %"].turns >= rows["fixed, 25 %"].turns
    assert 0 < rows["fixed, 50 %"].saving[0] < rows["fixed, 25 %"].saving[0] < 1
    assert rows["dynamic, automatic"].extended > 0
    again = compare(env, Simulated, calibrated(turns), range(100, 115), PRICE)
    assert again == rows
