"""Rows of the benchmark against counts made by hand, and the whole of it in small."""

import numpy as np
import pytest

from agentgym.errors import InvalidParameter, UnknownId
from agentgym.evaluation.attacks.team import Truth
from agentgym.evaluation.forensics.benchmark import (
    benchmark,
    clean_row,
    fault_row,
    gather,
    return_drops,
    wilson,
)
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.monitor import Verdicts
from tests.evaluation.forensics.teams import SPREAD, Headed


def episodes_of(rewards, truth=None, twin=None):
    zeros = np.zeros((*rewards.shape, 1), np.float32)
    return Episodes(zeros, zeros, zeros, rewards, np.ones(rewards.shape, bool), fault="gauss:1", truth=truth, twin=twin)


def test_rows_count_every_outcome():
    truth = Truth(np.array([0, 1, 2, 0, 1]), np.full(5, 3), np.full(5, 99), np.ones(5))
    clean = np.full((5, 8, 3), -1.0)
    hurt = clean.copy()
    hurt[0, 6] = -3.0  # 6 less in step 6, of a mean return of 24: a drop
    hurt[1, 7] -= 0.1
    found = episodes_of(hurt, truth, episodes_of(clean))
    assert return_drops(found).tolist() == [6, -1, -1, -1, -1]
    verdicts = Verdicts(np.array([0, 1, 1, 0, -1]), np.array([4, 3, 5, 1, -1]), np.zeros((5, 8, 3)), np.zeros((5, 3)))
    row = fault_row(found, verdicts, named=np.array([2, 1, 2, 0, -1]))
    assert (row["accuracy"], row["missed"], row["early"], row["downstream"]) == (0.4, 0.2, 0.2, 0.2)
    assert (row["delay"], row["lead"]) == (0.5, 2)
    assert (row["accuracy_2"], row["corrected"], row["broken"]) == (0.4, 1, 1)
    assert np.isclose(row["return_lost"], (6 + 0.3) / 5)
    assert clean_row(verdicts)["alarms"] == 0.8
    everyone = Truth(np.full(5, -1), np.full(5, 3), np.full(5, 99), np.ones(5))
    assert set(fault_row(episodes_of(hurt, everyone), verdicts)) == {"fault", "episodes", "alarms"}


def test_wilsons_interval_is_the_textbook_one():
    low, high = wilson(475, 500)
    z, n, p = 1.959964, 500, 0.95
    centre, half = (p + z * z / 2 / n), z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    assert np.allclose([low, high], [(centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)], atol=1e-6)


def test_the_benchmark_in_small():
    team = Headed(sharpness=8.0)
    data = gather(team, SPREAD, ["gauss:0.5", "astuck", "shift:0.3"], episodes=60, clean=60, fresh=60)
    used = [*data.clean.seeds, *data.fresh.seeds, *data.test.seeds, *(s for e in data.faulty.values() for s in e.seeds)]
    assert len(set(used)) == len(used)
    rows = benchmark(team, data, ["policy_nll", "jump"], [0.05, 0.1])
    assert len(rows) == 2 * 2 * 4
    by = {(row["detector"], row["alpha"], row["fault"]): row for row in rows}
    assert by["policy_nll", 0.05, "astuck"]["accuracy"] > 0.7
    assert by["policy_nll", 0.05, "gauss:0.5"]["accuracy"] < 0.2
    assert by["jump", 0.05, "gauss:0.5"]["accuracy"] > 0.7
    assert by["jump", 0.1, "clean"]["alarms"] >= by["jump", 0.05, "clean"]["alarms"]
    assert "accuracy" not in by["jump", 0.1, "shift:0.3"]


def test_what_cannot_be_is_refused_before_anything_is_played():
    team = Headed()
    with pytest.raises(UnknownId):
        gather(team, SPREAD, ["gauss:0.5", "gaus:0.5"])
    data = gather(team, SPREAD, ["astuck"], episodes=2, clean=30, fresh=20)
    with pytest.raises(UnknownId):
        benchmark(team, data, ["jump", "jumps"])
    with pytest.raises(InvalidParameter, match="at least 99"):
        benchmark(team, data, ["jump"], 0.01)
