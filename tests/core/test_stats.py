import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from agentgym.errors import InvalidParameter
from agentgym.resampling import resample
from agentgym.stats import (
    bootstrap_interval,
    conditions_of,
    cvar,
    iqm,
    performance_profile,
    probability_of_improvement,
    summarise,
    worst,
)

finite = st.floats(-1e6, 1e6)
score_lists = st.lists(finite, min_size=1, max_size=40)


@given(score_lists)
def test_iqm_is_scipys_trimmed_mean(scores):
    assert iqm(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25), rel=1e-9, abs=1e-6)


def test_statistics_reduce_one_axis_like_row_by_row():
    x = np.random.default_rng(0).normal(size=(5, 13))
    for statistic in (iqm, cvar, worst):
        np.testing.assert_allclose(statistic(x, axis=-1), [statistic(row) for row in x], rtol=1e-14)
        np.testing.assert_allclose(statistic(x.T, axis=0), [statistic(row) for row in x], rtol=1e-14)


def tail_integral(scores, alpha):
    """Average of the quantile function over (0, alpha), summed piece by piece."""
    total, taken = 0.0, 0.0
    for score in sorted(scores):
        piece = min(1.0 / len(scores), alpha - taken)
        if piece <= 0.0:
            break
        total, taken = total + piece * score, taken + piece
    return total / alpha


@given(score_lists, st.floats(0.001, 1.0))
def test_cvar_is_the_mean_of_the_lower_tail(scores, alpha):
    assert cvar(scores, alpha) == pytest.approx(tail_integral(scores, alpha), rel=1e-8, abs=1e-6)


def test_cvar_closed_forms():
    scores = np.arange(1.0, 21.0)
    assert cvar(scores, 0.1) == 1.5
    assert cvar(scores, 0.125) == pytest.approx((1 + 2 + 0.5 * 3) / 2.5)
    assert cvar(scores, 1.0) == 10.5
    assert cvar(scores, 0.01) == worst(scores) == 1.0
    # The tail mean of a standard normal is -density(quantile) / alpha.
    quantiles = scipy.stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    exact = -scipy.stats.norm.pdf(scipy.stats.norm.ppf(0.1)) / 0.1
    assert cvar(quantiles, 0.1) == pytest.approx(exact, abs=1e-4)


@given(score_lists)
def test_order_of_the_statistics(scores):
    slack = 1e-6
    assert worst(scores) <= cvar(scores, 0.1) + slack
    assert cvar(scores, 0.1) <= cvar(scores, 0.5) + slack
    assert cvar(scores, 0.5) <= np.mean(scores) + slack


@pytest.mark.parametrize("statistic", [np.mean, np.median, cvar])
def test_interval_approaches_the_enumerated_bootstrap(statistic):
    scores = np.array([1.0, 2.0, 4.0, 9.0, 11.0])
    every = np.array([statistic(np.array(draw)) for draw in itertools.product(scores, repeat=5)])
    exact = np.quantile(every, [0.05, 0.95])
    got = bootstrap_interval(scores, statistic, confidence=0.9, resamples=40_000)
    assert got.value == statistic(scores)
    # The distribution is discrete: allow the neighbouring atoms.
    atoms = np.unique(every)
    for end, edge in zip((got.low, got.high), exact, strict=True):
        place = np.searchsorted(atoms, edge)
        assert atoms[max(place - 1, 0)] <= end <= atoms[min(place + 1, len(atoms) - 1)]


def test_interval_agrees_with_scipy():
    scores = np.random.default_rng(3).gamma(2.0, size=60)
    for statistic in (np.mean, iqm):
        peer = scipy.stats.bootstrap(
            (scores,), statistic, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
        ).confidence_interval
        ours = bootstrap_interval(scores, statistic, resamples=20_000)
        width = peer.high - peer.low
        assert ours.low == pytest.approx(peer.low, abs=0.03 * width)
        assert ours.high == pytest.approx(peer.high, abs=0.03 * width)


def test_resampling_stays_within_the_condition():
    # The spread between conditions must not enter: each is constant, so there is nothing to resample.
    groups = [np.full(4, 0.0), np.full(7, 100.0), np.full(3, -50.0)]
    got = bootstrap_interval(groups, np.mean, within=np.mean)
    assert (got.value, got.low, got.high) == pytest.approx((50 / 3,) * 3)
    pooled = bootstrap_interval(groups, np.mean)
    assert pooled.low == pooled.high == pooled.value == np.concatenate(groups).mean()


def test_ragged_groups_equal_a_loop_over_the_resamples():
    generator = np.random.default_rng(5)
    groups = [generator.normal(size=size) for size in (3, 8, 5)]
    got = bootstrap_interval(groups, worst, within=np.mean, resamples=500, seed=9)
    draws, source = [], np.random.default_rng(9).random((500, 16))
    for row in source:
        parts = np.split(row, [3, 11])
        draws.append(min(group[(u * len(group)).astype(int)].mean() for group, u in zip(groups, parts, strict=True)))
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))
    assert got.value == min(group.mean() for group in groups)


def test_chunks_do_not_change_the_draws(monkeypatch):
    scores = np.random.default_rng(0).normal(size=(6, 10))
    whole = summarise(scores, resamples=300)
    monkeypatch.setattr("agentgym.stats.CHUNK", 60 * 7)
    assert summarise(scores, resamples=300) == whole


def test_summary_equals_the_single_intervals():
    generator = np.random.default_rng(2)
    groups = [generator.normal(loc=mean, size=9) for mean in (0.0, 3.0, -2.0, 1.0)]
    got = summarise(groups, seed=4)
    assert got.mean == bootstrap_interval(groups, np.mean, within=np.mean, seed=4)
    assert got.iqm == bootstrap_interval(groups, iqm, seed=4)
    assert got.cvar == bootstrap_interval(groups, cvar, seed=4)
    assert got.worst_condition == 2
    assert got.worst.value == pytest.approx(groups[2].mean())
    assert got.worst.low < got.worst.value < got.worst.high
    assert [condition.value for condition in got.conditions] == pytest.approx([g.mean() for g in groups])


def test_the_mean_weighs_conditions_alike():
    assert summarise([[0.0, 0.0, 0.0, 0.0], [10.0]]).mean.value == 5.0


def test_one_episode_gives_no_interval():
    got = summarise([[1.0], [2.0], [3.0]])
    assert got.mean.value == 2.0
    assert np.isnan([got.mean.low, got.iqm.high, got.cvar.low, got.worst.low, got.conditions[0].high]).all()
    part = summarise([[1.0], [2.0, 4.0]])
    assert np.isfinite([part.mean.low, part.conditions[1].low]).all()
    assert np.isnan([part.conditions[0].low, part.worst.low]).all()


def test_seeds():
    x = np.random.default_rng(0).normal(size=(3, 8))
    assert summarise(x, seed=1) == summarise(x, seed=1)
    assert summarise(x, seed=1) != summarise(x, seed=2)
    assert probability_of_improvement(x, x + 1, seed=1) == probability_of_improvement(x, x + 1, seed=1)


@given(st.lists(finite, min_size=1, max_size=20), st.lists(finite, min_size=1, max_size=8))
def test_performance_profile_counts(scores, thresholds):
    expected = [np.mean(np.array(scores) > tau) for tau in thresholds]
    np.testing.assert_allclose(performance_profile(scores, thresholds), expected, atol=1e-15)


small = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=9)


@given(small, small)
def test_probability_of_improvement_is_mann_whitney(a, b):
    got = probability_of_improvement(a, b, resamples=10)
    u = scipy.stats.mannwhitneyu(a, b, method="asymptotic").statistic
    assert got.value == pytest.approx(u / (len(a) * len(b)))
    assert got.value + probability_of_improvement(b, a, resamples=10).value == pytest.approx(1.0)


def test_probability_of_improvement_interval_against_a_loop():
    generator = np.random.default_rng(8)
    a, b = generator.normal(size=(4, 12)) + 0.4, generator.normal(size=(4, 10))
    got = probability_of_improvement(a, b, resamples=8000)
    draws = []
    for _ in range(3000):
        wins = [
            np.mean(generator.choice(x, len(x))[:, None] > generator.choice(y, len(y)))
            for x, y in zip(a, b, strict=True)
        ]
        draws.append(np.mean(wins))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (got.low, got.high) == pytest.approx((low, high), abs=0.015)


@pytest.mark.parametrize(
    "call",
    [
        lambda: iqm([]),
        lambda: cvar([1.0], alpha=0.0),
        lambda: cvar([1.0, np.nan]),
        lambda: summarise([]),
        lambda: summarise([[1.0], []]),
        lambda: summarise([[1.0, np.inf]]),
        lambda: bootstrap_interval([1.0, 2.0], confidence=1.0),
        lambda: bootstrap_interval([1.0, 2.0], resamples=0),
        lambda: probability_of_improvement([[1.0], [2.0]], [[1.0]]),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidParameter):
        call()


def coverage(means, episodes, rounds, resamples):
    """How often each interval holds the truth, for normal returns of deviation 1 around ``means``."""
    generator = np.random.default_rng(12)
    held = np.zeros(3)
    for round_ in range(rounds):
        x = means[:, None] + generator.normal(size=(len(means), episodes))
        got = summarise(x, resamples=resamples, seed=round_)
        naive = bootstrap_interval(x, worst, within=np.mean, resamples=resamples, seed=round_)
        held += [
            got.mean.low <= means.mean() <= got.mean.high,
            got.worst.low <= means.min() <= got.worst.high,
            naive.low <= means.min() <= naive.high,
        ]
    return held / rounds


def test_coverage_of_the_intervals():
    mean, least, naive = coverage(np.zeros(20), episodes=20, rounds=200, resamples=400)
    assert 0.88 <= mean <= 0.99
    assert least >= 0.87
    assert naive < 0.5  # why the worst condition does not get the plain percentile interval


@pytest.mark.slow
@pytest.mark.parametrize("means", [np.zeros(20), np.r_[-3.0, np.zeros(19)], np.linspace(0.0, 2.0, 20)])
def test_coverage_over_many_rounds(means):
    mean, least, _ = coverage(means, episodes=30, rounds=1000, resamples=1000)
    assert 0.92 <= mean <= 0.97
    assert least >= 0.92


@pytest.mark.parametrize("alpha", [0.1, 0.6, 1.0])
def test_the_compiled_bootstrap_of_many_scores_has_the_same_draws(monkeypatch, alpha):
    generator = np.random.default_rng(6)
    sizes = [700, 1, 300] * 3
    groups = [generator.normal(loc=mean, size=size).round(1) for mean, size in enumerate(sizes)]  # with ties
    whole, means = summarise(groups, alpha, resamples=200), conditions_of(groups, resamples=200)
    monkeypatch.setattr("agentgym.stats.LARGE", 1)
    many, few = summarise(groups, alpha, resamples=200), conditions_of(groups, resamples=200)
    assert many.worst_condition == whole.worst_condition
    for name in ("mean", "iqm", "cvar", "worst"):
        assert ends(getattr(many, name)) == pytest.approx(ends(getattr(whole, name)), rel=1e-12, nan_ok=True)
    for one, other in zip((*many.conditions, *few), (*whole.conditions, *means), strict=True):
        assert ends(one) == pytest.approx(ends(other), rel=1e-12, abs=1e-12, nan_ok=True)


def ends(estimate):
    return estimate.value, estimate.low, estimate.high


def test_a_resample_beyond_what_is_looked_at_is_searched_wider():
    scores, sizes = np.random.default_rng(0).normal(size=4000), np.full(4, 1000)
    places = np.array([400.5, 1000.0, 3000.0])
    sure = resample(scores, sizes, places, 50, 3)
    narrow = resample(scores, sizes, places, 50, 3, reach=0.05)  # 3 scores to each side: most resamples miss
    for one, other in zip(sure, narrow, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_the_number_of_threads_does_not_change_the_draws(monkeypatch):
    scores, sizes, places = np.random.default_rng(0).normal(size=600), np.array([200, 400]), np.array([60.0])
    found = []
    for threads in (1, 3):
        monkeypatch.setattr("agentgym.resampling.joblib.cpu_count", lambda threads=threads: threads)
        found.append(resample(scores, sizes, places, 10, 0))
    for one, other in zip(*found, strict=True):
        assert (one == other).all()
