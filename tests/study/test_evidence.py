"""Statistics of a study against closed forms, scipy and loops."""

import math

import numpy as np
import pytest
import scipy.stats

from agentgym.errors import InvalidParameter
from agentgym.stats import Estimate, bootstrap_band, bootstrap_interval, iqm
from agentgym.study.evidence import Evidence
from agentgym.study.file import load_study, study_in
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


def made(folder, text, sign=1.0, measure="return"):
    """The study of a text with known rows and curves, all multiplied by ``sign``."""
    (folder / "known.toml").write_text(text)
    results = open_results(load_study(folder / "known.toml"), folder)
    for cell in results.cells:
        row = {measure: sign * scores(cell.agent, cell.env, cell.seed), "steps": 100, "seconds": 50, **stamp()}
        pace = 2.0 if cell.agent == "sac" else 1.0
        points = [{"step": s, "updates": s // 10, "seconds": pace * s, "return": sign * curve(cell.agent, cell.seed, s)}
                  for s in range(0, 101, 10)]  # fmt: skip
        results.rows.replace(cell, [{**row, "plan": cell.plan()}], results.cells)
        results.curves.replace(cell, points, results.cells)
    return open_results(results.study, folder)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return made(tmp_path_factory.mktemp("study"), STUDY)


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


def test_lower_scores_that_are_better_are_the_mirror_image(evidence, tmp_path):
    """Negated scores of which lower ones are better say the same."""
    text = STUDY.replace("[0.0, 10.0]", "[0.0, -10.0]") + 'better = "lower"\n'
    mirror = Evidence(made(tmp_path, text, -1.0), "all")
    thresholds = np.array([-1.0, 0.31, 0.45, 2.0])
    for agent in ("ppo", "sac"):
        for env in ("Pendulum-v1", "CartPole-v1"):
            assert mirror.final(agent, env).value == -evidence.final(agent, env).value
            assert mirror.normalised(agent, env) == pytest.approx(evidence.normalised(agent, env))
        assert mirror.aggregate(agent, "iqm") == pytest.approx(evidence.aggregate(agent, "iqm"))
        for own, other in zip(mirror.profile(agent, thresholds), evidence.profile(agent, thresholds), strict=True):
            assert own == pytest.approx(other)
    assert mirror.improvement("sac", "ppo") == evidence.improvement("sac", "ppo")
    assert mirror.difference("sac", "Pendulum-v1") == Estimate(-3.0, -3.0, -3.0)
    own, other = mirror.efficiency("Pendulum-v1"), evidence.efficiency("Pendulum-v1")
    assert [own["ppo"].reached, own["sac"].reached] == [4, 8]
    for agent in ("ppo", "sac"):
        assert (own[agent].target, own[agent].area.value) == (-other[agent].target, -other[agent].area.value)
        assert (own[agent].steps, own[agent].seconds) == (other[agent].steps, other[agent].seconds)
    assert dict(findings([mirror]))["All agents and environments"].endswith(
        "Against ppo: sac is better in 1 and worse in 1 of 2 environments."
    )


def test_speed_is_that_of_the_runs_with_times(tmp_path):
    results = made(tmp_path, STUDY)
    late = [cell for cell in results.cells if cell.key[1:3] == ("ppo", "Pendulum-v1") and cell.seed > 0]
    for cell in late[:-1]:  # of seeds 0 and 7 alone the times are known; that of 7 is ten times as slow
        results.curves.replace(cell, [{**row, "seconds": ""} for row in results.curves.of(cell)], results.cells)
    slow = [{**row, "seconds": 10.0 * float(row["seconds"])} for row in results.curves.of(late[-1])]
    short = [row for row in slow if float(row["step"]) <= 50]
    results.curves.replace(late[-1], short, results.cells)
    assert Evidence(results, "all").efficiency("Pendulum-v1")["ppo"].speed == pytest.approx((1.0 + 0.1) / 2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_without_a_baseline_the_worst_end_of_a_curve_is_the_target(tmp_path, sign):
    text = STUDY.replace('baseline = "ppo"', "").replace("[0.0, 10.0]", "[0.0, 10.0]" if sign > 0 else "[0.0, -10.0]")
    better = "" if sign > 0 else 'better = "lower"\n'
    found = Evidence(made(tmp_path, text + better, sign), "all").efficiency("Pendulum-v1")
    assert found["sac"].target == sign * scipy.stats.trim_mean([8.0 + seed for seed in range(8)], 0.25)
    assert found["sac"].reached == 8


def test_curves_of_another_measure_than_the_score_have_their_own_direction(evidence, tmp_path):
    """Returns in training grow while the score, a cost, falls; a curve may also say that lower is better."""
    text = STUDY.replace("reference = [0.0, 10.0]", "") + 'score = "cost"\nbetter = "lower"\n'
    found = Evidence(made(tmp_path, text, measure="cost"), "all")
    assert found.efficiency("Pendulum-v1") == evidence.efficiency("Pendulum-v1")
    assert found.normalised("ppo", "Pendulum-v1")[0] == 1.0  # the lowest cost
    falling = made(tmp_path, text + '[curves]\nbetter = "lower"\n', -1.0, measure="cost")
    assert Evidence(falling, "all").efficiency("Pendulum-v1")["sac"].reached == 8


def test_the_second_reference_is_the_better_one(tmp_path):
    for better, reference in (("higher", "[10.0, 0.0]"), ("lower", "[0.0, 10.0]"), ("higher", "[1.0, 1.0]")):
        (tmp_path / "odd.toml").write_text(STUDY.replace("[0.0, 10.0]", reference) + f'better = "{better}"\n')
        with (
            pytest.raises(InvalidParameter, match=rf"odd.toml:8: .*{better} scores are better"),
            study_in(tmp_path / "odd.toml") as study,
        ):
            open_results(study, tmp_path)


def test_the_sentences(evidence, results):
    said = dict(findings([evidence]))
    title = next(iter(said))
    assert "sac is better in 1 and worse in 1 of 2 environments" in said[title]
    assert "highest interquartile mean of normalised scores over 2 environments" in said[title]
    assert findings([]) == [("Nothing yet", "The study has no rows.")]
