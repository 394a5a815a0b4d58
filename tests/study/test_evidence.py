"""Statistics of a study against closed forms, scipy and loops."""

import math

import numpy as np
import pytest
import scipy.stats

from agentgym.errors import InvalidParameter
from agentgym.stats import Estimate, bootstrap_band, bootstrap_interval, iqm
from agentgym.study.evidence import Evidence
from agentgym.study.file import load_study
from agentgym.study.findings import findings
from agentgym.study.rows import stamp
from agentgym.study.runner import open_results

STUDY = """
seeds = "0-7"
steps = 100
baseline = "ppo"
[agents.ppo]
[agents.sac]
[envs."Pendulum-v1"]
reference = [0.0, 10.0]
[envs."CartPole-v1"]
[protocol]
episodes = 1
"""


def scores(agent, env, seed):
    """PPO: 0 to 7 and 100 to 170. SAC: always 3 more in one environment, 20 less in the other."""
    if env == "Pendulum-v1":
        return seed + (3.0 if agent == "sac" else 0.0)
    return 100.0 + 10.0 * seed - (20.0 if agent == "sac" else 0.0)


def curve(agent, seed, step):
    """A line that ends at 8 + seed for PPO; SAC is twice as fast and takes twice as long a step."""
    return (8.0 + seed) * step / 100.0 * (2.0 if agent == "sac" else 1.0)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "known.toml").write_text(STUDY)
    results = open_results(load_study(folder / "known.toml"), folder)
    for cell in results.cells:
        row = {"return": scores(cell.agent, cell.env, cell.seed), "steps": 100, "seconds": 50, **stamp(),
               "plan": cell.plan()}  # fmt: skip
        pace = 2.0 if cell.agent == "sac" else 1.0
        points = [{"step": s, "updates": s // 10, "seconds": pace * s, "return": curve(cell.agent, cell.seed, s)}
                  for s in range(0, 101, 10)]  # fmt: skip
        results.rows._by_key[tuple(map(str, cell.key))] = [
            {**dict(zip(("question", "agent", "env", "seed"), map(str, cell.key), strict=True)),
             **dict.fromkeys([*results.rows.first, *results.rows.last], ""), **{k: str(v) for k, v in row.items()}}
        ]  # fmt: skip
        key = dict(zip(("question", "agent", "env", "seed"), map(str, cell.key), strict=True))
        results.curves._by_key[tuple(map(str, cell.key))] = [
            {**key, **{k: str(v) for k, v in point.items()}} for point in points
        ]
    results.rows.write()
    results.curves.write()
    return open_results(results.study, folder)


@pytest.fixture(scope="module")
def evidence(results):
    return Evidence(results, "all")


def test_final_scores_are_scipys_trimmed_means(evidence):
    for agent in ("ppo", "sac"):
        for env in ("Pendulum-v1", "CartPole-v1"):
            values = [scores(agent, env, seed) for seed in range(8)]
            assert evidence.final(agent, env).value == pytest.approx(scipy.stats.trim_mean(values, 0.25))


def test_normalised_scores_use_the_references_or_the_range(evidence):
    assert evidence.normalised("sac", "Pendulum-v1") == pytest.approx([(3 + seed) / 10 for seed in range(8)])
    assert evidence.normalised("ppo", "CartPole-v1") == pytest.approx([(20 + 10 * seed) / 90 for seed in range(8)])
    pooled = [*evidence.normalised("sac", "Pendulum-v1"), *evidence.normalised("sac", "CartPole-v1")]
    assert evidence.aggregate("sac", "iqm").value == pytest.approx(scipy.stats.trim_mean(pooled, 0.25))


def test_differences_are_taken_in_pairs(evidence):
    """Every pair differs by the same amount, so the interval has no width, unlike that of the scores."""
    assert evidence.difference("sac", "Pendulum-v1") == Estimate(3.0, 3.0, 3.0)
    assert evidence.difference("sac", "CartPole-v1") == Estimate(-20.0, -20.0, -20.0)


def test_probability_of_improvement_is_mann_whitneys(evidence):
    expected = np.mean([
        scipy.stats.mannwhitneyu(
            [scores("sac", env, seed) for seed in range(8)], [scores("ppo", env, seed) for seed in range(8)]
        ).statistic / 64
        for env in ("Pendulum-v1", "CartPole-v1")
    ])  # fmt: skip
    assert evidence.improvement("sac", "ppo").value == pytest.approx(expected)
    assert evidence.improvement("sac", "ppo").value + evidence.improvement("ppo", "sac").value == pytest.approx(1.0)


def test_profiles_count_runs(evidence):
    thresholds = np.array([-1.0, 0.31, 0.45, 2.0])
    value, low, high = evidence.profile("sac", thresholds)
    pooled = np.array([*evidence.normalised("sac", "Pendulum-v1"), *evidence.normalised("sac", "CartPole-v1")])
    assert value == pytest.approx([(pooled > tau).mean() for tau in thresholds])
    assert (low <= value).all()
    assert (value <= high).all()
    assert low[0] == high[0] == 1.0
    assert low[3] == high[3] == 0.0


def test_a_band_is_the_interval_at_every_point():
    curves = np.random.default_rng(0).normal(size=(5, 7)).cumsum(axis=1)
    value, low, high = bootstrap_band(curves, resamples=300, seed=3)
    for point in range(7):
        alone = bootstrap_interval(curves[:, point], iqm, resamples=300, seed=3)
        assert (value[point], low[point], high[point]) == pytest.approx((alone.value, alone.low, alone.high))
    assert np.isnan(bootstrap_band(curves[:1])[1]).all()
    for bad in (np.zeros((0, 3)), np.zeros(3), np.full((2, 2), np.nan)):
        with pytest.raises(InvalidParameter):
            bootstrap_band(bad)


def test_curves_and_efficiency(evidence):
    band = evidence.band("ppo", "Pendulum-v1", "return")
    middle = scipy.stats.trim_mean([8.0 + seed for seed in range(8)], 0.25)
    assert band.value == pytest.approx(middle * band.x / 100.0)
    assert evidence.band("sac", "Pendulum-v1", "return", "seconds").x[-1] == 200.0
    assert evidence.band("sac", "Pendulum-v1", "return", "updates").x[-1] == 10.0
    found = evidence.efficiency("Pendulum-v1")
    assert found["sac"].target == found["ppo"].target == pytest.approx(middle)
    assert found["ppo"].reached == 4  # the better half of the runs ends above the middle
    assert found["sac"].reached == 8
    steps = [next(s for s in range(0, 101, 10) if curve("sac", seed, s) >= middle) for seed in range(8)]
    assert found["sac"].steps == np.median(steps)
    assert found["sac"].seconds == 2 * np.median(steps)
    assert (found["ppo"].speed, found["sac"].speed) == pytest.approx((1.0, 0.5))
    assert found["sac"].area.value == pytest.approx(2 * found["ppo"].area.value)
    assert math.isfinite(found["ppo"].area.low)


def test_the_sentences(evidence, results):
    said = dict(findings([evidence]))
    title = next(iter(said))
    assert "sac is better in 1 and worse in 1 of 2 environments" in said[title]
    assert "highest interquartile mean of normalised scores over 2 environments" in said[title]
    assert findings([]) == [("Nothing yet", "The study has no rows.")]
