"""Statistics of episode returns: aggregates, bootstrap intervals, profiles. Seeded and vectorised.

Scores come in groups: one group a condition (an environment with its perturbation and parameters), one score
an episode. Resampling is stratified: episodes are redrawn within their own condition, so an interval tells
how much the number would move if the same conditions were run with other seeds (Agarwal et al. 2021, "Deep
Reinforcement Learning at the Edge of the Statistical Precipice", with conditions in the place of tasks).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentgym.errors import InvalidParameter

__all__ = [
    "Estimate",
    "Statistic",
    "Summary",
    "bootstrap_band",
    "bootstrap_interval",
    "conditions_of",
    "cvar",
    "iqm",
    "performance_profile",
    "probability_of_improvement",
    "summarise",
    "worst",
]

Scores = ArrayLike | Sequence[ArrayLike]
Floats = NDArray[np.float64]

CHUNK = 1 << 21  # resampled scores held at once: 16 MiB
LARGE = 1 << 26  # from this number of resampled scores on, compiled code pays


class Statistic(Protocol):
    """A function of an array along one axis, such as ``np.mean``, :func:`iqm` or :func:`worst`."""

    def __call__(self, x: Floats, /, *, axis: int) -> ArrayLike:
        """Reduce ``axis``."""


@dataclass(frozen=True)
class Estimate:
    """A number and its confidence interval; ``low`` and ``high`` are NaN where the data give none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """What one agent scored over some conditions.

    Attributes:
        mean: mean over conditions of the mean over episodes, so that every condition weighs the same.
        iqm: interquartile mean of all episodes together.
        cvar: mean of the worst tenth (``alpha``) of all episodes together.
        worst: the least mean of a condition. The least of several noisy means is biased low, the more so the
            fewer episodes and the more conditions there are; run ``worst_condition`` again with fresh seeds
            for an unbiased number. The interval allows for the choice (see ``_interval_of_the_least``).
        worst_condition: which condition that is, as an index into the groups.
        conditions: the mean over episodes of each condition.
    """

    mean: Estimate
    iqm: Estimate
    cvar: Estimate
    worst: Estimate
    worst_condition: int
    conditions: tuple[Estimate, ...]


def iqm(x: ArrayLike, axis: int | None = None) -> np.float64 | Floats:
    """Interquartile mean: the lowest and the highest ``floor(n / 4)`` scores are left out.

    As in rliable and ``scipy.stats.trim_mean(x, 0.25)``: whole scores are cut, none is weighted.

    Args:
        x: the scores.
        axis: the axis to reduce; all of them if None.
    """
    x, axis = _reducible(x, axis)
    count = x.shape[axis]
    cut = count // 4
    middle = np.partition(x, (cut, count - 1 - cut), axis=axis)
    return np.asarray(middle).take(range(cut, count - cut), axis=axis).mean(axis=axis)


def cvar(x: ArrayLike, alpha: float = 0.1, axis: int | None = None) -> np.float64 | Floats:
    """Conditional value at risk: the mean of the worst fraction ``alpha`` of the scores.

    The score on the boundary counts by the part of it that is inside: the exact mean of the lower tail of the
    empirical distribution (Rockafellar and Uryasev 2002, with returns in the place of losses).

    Args:
        x: the scores.
        alpha: the fraction, above 0; 1 gives the mean, and 1 / n or less gives the minimum.
        axis: the axis to reduce; all of them if None.
    """
    if not 0.0 < alpha <= 1.0:
        raise InvalidParameter(f"alpha is a fraction above 0 and at most 1, not {alpha!r}.")
    x, axis = _reducible(x, axis)
    mass = alpha * x.shape[axis]  # how many scores the tail holds
    last = min(int(mass), x.shape[axis] - 1)
    ordered = np.moveaxis(np.partition(x, last, axis=axis), axis, -1)
    tail = ordered[..., :last].sum(axis=-1) + (mass - last) * ordered[..., last]
    return tail / mass


def worst(x: ArrayLike, axis: int | None = None) -> np.float64 | Floats:
    """The least score. The minimum of noisy means is biased low: see :class:`Summary`."""
    x, axis = _reducible(x, axis)
    return x.min(axis=axis)


def bootstrap_interval(
    x: Scores,
    statistic: Statistic = np.mean,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    within: Statistic | None = None,
) -> Estimate:
    """A statistic and its percentile bootstrap interval (Efron 1979), stratified by condition.

    Args:
        x: scores [n] of one condition, or [G, n], or a list of G arrays of any lengths, one a condition.
        statistic: called as ``statistic(scores, axis=-1)``, on all episodes together.
        confidence: the interval's nominal coverage.
        resamples: how many times the episodes are redrawn.
        seed: equal seeds give equal intervals.
        within: first reduces each condition to one number, of which ``statistic`` is then taken. The worst
            condition's mean is ``bootstrap_interval(x, worst, within=np.mean)``; the bias of a minimum is in
            that interval twice, and it may lie wholly below its value: :func:`summarise` gives a better one.

    Returns:
        The value on the scores themselves, and the interval. Where no condition has two episodes, nothing is
        known of the spread and the interval is NaN.

    Raises:
        InvalidParameter: no scores, an empty condition, a score that is not finite, an argument out of range.
    """
    groups = _Groups(x)
    if within is np.mean:
        value = float(np.asarray(statistic(groups.means(groups.scores), axis=-1)))
        draws = np.asarray(statistic(_drawn_means(groups, resamples, seed), axis=-1), dtype=np.float64)
        return _estimate(value, draws, confidence, bool((groups.sizes > 1).any()))
    reduce = partial(_reduce, groups, statistic, within)
    draws = np.concatenate([reduce(sample) for sample in groups.resample(resamples, seed)])
    value = float(reduce(groups.scores[None])[0])
    return _estimate(value, draws, confidence, bool((groups.sizes > 1).any()))


def bootstrap_band(
    curves: ArrayLike, statistic: Statistic = iqm, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[Floats, Floats, Floats]:
    """A statistic over runs at every point of their curves, with its percentile bootstrap interval point by point.

    A resample redraws whole curves, so every point has the interval that :func:`bootstrap_interval` gives for it alone.

    Args:
        curves: one curve a run, [n, P].
        statistic: called as ``statistic(curves, axis=...)``.
        confidence: the nominal coverage of the interval at each point.
        resamples: how many times the runs are redrawn.
        seed: equal seeds give equal bands.

    Returns:
        The statistic and both ends of the interval, [P] each; the ends are NaN for a single run.

    Raises:
        InvalidParameter: there is no run, a value is not finite, or an argument is out of range.
    """
    data = _finite(curves)
    if data.ndim != 2 or not data.size:
        raise InvalidParameter(f"Curves are an array of runs and points, not of shape {data.shape}.")
    value = np.asarray(statistic(data, axis=0), dtype=np.float64)
    if len(data) < 2:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    drawn = _Groups(np.arange(len(data), dtype=np.float64)).resample(resamples, seed)
    pieces = (rows.astype(np.intp) for part in drawn for rows in _pieces(part, data.size))
    draws = [np.asarray(statistic(data[rows], axis=1)) for rows in pieces]
    low, high = _quantiles(np.concatenate(draws), confidence)
    return value, low, high


def _pieces(resamples: Floats, numbers: int) -> list[Floats]:
    """Resamples in pieces of at most CHUNK numbers, where each takes so many."""
    return np.array_split(resamples, max(1, -(-len(resamples) * numbers // CHUNK)))


def summarise(
    groups: Scores, alpha: float = 0.1, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Summary:
    """Mean, IQM, CVaR and worst condition of one agent, each with its bootstrap interval.

    Args:
        groups: scores [G, n], or a list of G arrays of any lengths, one a condition.
        alpha: the fraction of episodes in the CVaR.
        confidence: the intervals' nominal coverage.
        resamples: how many times the episodes are redrawn; all the statistics see the same draws.
        seed: equal seeds give equal intervals.

    Raises:
        InvalidParameter: as :func:`bootstrap_interval`.
    """
    data = _Groups(groups)
    means, values = _statistics(data, alpha, data.scores[None])
    mean_draws, value_draws = _drawn_statistics(data, alpha, resamples, seed)
    (means,), (values,) = means, values
    some_spread = np.full(len(values), (data.sizes > 1).any())
    mean, middle, tail = _estimates(values, value_draws, confidence, some_spread)
    return Summary(
        mean,
        middle,
        tail,
        worst=_interval_of_the_least(data, means, mean_draws, confidence),
        worst_condition=int(means.argmin()),
        conditions=tuple(_estimates(means, mean_draws, confidence, data.sizes > 1)),
    )


def conditions_of(groups: Scores, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> list[Estimate]:
    """The mean of each condition with its interval: :attr:`Summary.conditions` alone, at less cost."""
    data = _Groups(groups)
    draws = _drawn_means(data, resamples, seed)
    return _estimates(data.means(data.scores), draws, confidence, data.sizes > 1)


def _drawn_means(data: "_Groups", resamples: int, seed: int) -> Floats:
    """Means of the conditions for every resample, [r, G]."""
    if data.scores.size * resamples < LARGE:
        return np.concatenate([data.means(sample) for sample in data.resample(resamples, seed)])
    return data.resample_compiled(resamples, seed, np.zeros(0))[0]


def _statistics(data: "_Groups", alpha: float, sample: Floats) -> tuple[Floats, Floats]:
    """Resampled scores [r, N] -> means of the conditions [r, G]; mean of these, IQM and CVaR [r, 3]."""
    means = data.means(sample)
    return means, np.stack([means.mean(axis=-1), iqm(sample, axis=-1), cvar(sample, alpha, axis=-1)], axis=-1)


def _drawn_statistics(data: "_Groups", alpha: float, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """The same for every resample: of arrays of scores, or of very many from sums of the least of them."""
    count = data.scores.size
    if count * resamples < LARGE:
        drawn = [_statistics(data, alpha, sample) for sample in data.resample(resamples, seed)]
        means, values = (np.concatenate(part) for part in zip(*drawn, strict=True))
        return means, values
    cut, mass = count // 4, alpha * count
    places = np.array([mass, cut, count - cut])
    order = np.argsort(places)
    means, sums = data.resample_compiled(resamples, seed, places[order])
    tail, low, high = sums.T[np.argsort(order)]
    return means, np.stack([means.mean(axis=-1), (high - low) / (count - 2 * cut), tail / mass], axis=-1)


def _interval_of_the_least(data: "_Groups", means: Floats, draws: Floats, confidence: float) -> Estimate:
    """The least of the conditions' means, with an interval that the choice of the least does not spoil.

    If every true mean lies within ``d`` standard errors of its estimate, then the least true mean lies
    between the least lower end and the least upper end. ``d`` is the bootstrap quantile of the largest
    standardised deviation over all conditions, so that all of them hold together. With fewer than about ten
    episodes a condition it is too narrow where all conditions are equally bad (tests/core measures it).

    Args:
        data: the scores, G conditions.
        means: [G].
        draws: the resampled means [r, G].
        confidence: the interval's nominal coverage, which it exceeds where one condition is clearly worst.
    """
    least = float(means.min())
    if (data.sizes < 2).any():
        return Estimate(least, np.nan, np.nan)
    error = np.sqrt(data.means((data.scores - np.repeat(means, data.sizes)) ** 2) / (data.sizes - 1))
    spread = draws.std(axis=0)
    scale = np.where(spread > 0.0, spread, np.inf)
    deviation = np.array([(np.abs(row - means) / scale).max() for row in draws])  # row by row: draws can be large
    margin = np.quantile(deviation, confidence) * error
    return Estimate(least, float((means - margin).min()), float((means + margin).min()))


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> Floats:
    """The fraction of scores above each threshold (Agarwal et al. 2021).

    Args:
        scores: any shape; one number a condition, or one an episode.
        thresholds: tau [T].

    Returns:
        The fractions [T]; a score equal to a threshold is not above it.
    """
    ordered = np.sort(_finite(scores), axis=None)
    return 1.0 - np.searchsorted(ordered, np.asarray(thresholds), side="right") / ordered.size


def probability_of_improvement(
    a: Scores, b: Scores, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """How likely an episode of ``a`` scores above one of ``b`` in the same condition.

    The mean over conditions of P(A > B) + P(A = B) / 2, the Mann-Whitney statistic (Agarwal et al. 2021),
    with the stratified bootstrap interval.

    Args:
        a, b: scores of the two agents, grouped alike; a condition may have other numbers of episodes in each.
        confidence: the interval's nominal coverage.
        resamples: how many times the episodes of both are redrawn.
        seed: equal seeds give equal intervals.

    Raises:
        InvalidParameter: as :func:`bootstrap_interval`, or the two have other numbers of conditions.
    """
    first, second = _Groups(a), _Groups(b)
    if len(first.sizes) != len(second.sizes):
        raise InvalidParameter(f"Both need the same conditions: a has {len(first.sizes)}, b has {len(second.sizes)}.")
    generator = np.random.default_rng(seed)
    value, draws = 0.0, np.zeros(resamples)
    for left, right in zip(first.split(), second.split(), strict=True):
        wins = (left[:, None] > right) + 0.5 * (left[:, None] == right)  # [episodes of a, episodes of b]
        value += wins.mean()
        # How often each episode is drawn is all that matters: counts instead of copies.
        weight_left, weight_right = (
            generator.multinomial(size, np.full(size, 1.0 / size), size=resamples) / size for size in wins.shape
        )
        draws += np.einsum("rb,rb->r", weight_left @ wins, weight_right)
    conditions = len(first.sizes)
    spread = bool((first.sizes > 1).any() or (second.sizes > 1).any())
    return _estimate(float(value) / conditions, draws / conditions, confidence, spread)


class _Groups:
    """Scores of all conditions end to end, with what tells where each begins."""

    def __init__(self, x: Scores) -> None:
        parts = [_finite(part) for part in _parts(x)]
        if not parts or any(part.ndim != 1 or not part.size for part in parts):
            raise InvalidParameter("Every condition needs at least one score: leave out those that have none.")
        self.sizes = np.array([part.size for part in parts])
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.scores = np.concatenate(parts)

    def split(self) -> list[Floats]:
        return np.split(self.scores, self.starts[1:])

    def means(self, sample: Floats) -> Floats:
        """[..., N] -> [..., G]."""
        return np.add.reduceat(sample, self.starts, axis=-1) / self.sizes

    def resample(self, resamples: int, seed: int) -> Iterator[Floats]:
        """Scores redrawn within their conditions, [r, N] at a time, ``resamples`` rows in all."""
        if resamples < 1:
            raise InvalidParameter(f"resamples is at least 1, not {resamples!r}.")
        generator = np.random.default_rng(seed)
        start, size = np.repeat(self.starts, self.sizes), np.repeat(self.sizes, self.sizes)
        rows = max(1, CHUNK // self.scores.size)
        for done in range(0, resamples, rows):
            uniform = generator.random((min(rows, resamples - done), self.scores.size))
            yield self.scores[start + (uniform * size).astype(np.intp)]

    def resample_compiled(self, resamples: int, seed: int, places: Floats) -> tuple[Floats, Floats]:
        """Means [r, G] and sums of the least scores [r, K] of the same resamples: :mod:`agentgym.resampling`."""
        from agentgym.resampling import resample  # imports Numba, which takes a second

        return resample(self.scores, self.sizes, places, resamples, seed)


def _reduce(groups: _Groups, statistic: Statistic, within: Statistic | None, sample: Floats) -> Floats:
    """[r, N] -> [r]."""
    if within is not None:
        parts = np.split(sample, groups.starts[1:], axis=-1)
        sample = np.stack([np.asarray(within(part, axis=-1)) for part in parts], axis=-1)
    return np.asarray(statistic(sample, axis=-1), dtype=np.float64)


def _estimate(value: float, draws: Floats, confidence: float, spread: bool) -> Estimate:
    return _estimates(np.array([value]), draws[:, None], confidence, np.array([spread]))[0]


def _estimates(values: Floats, draws: Floats, confidence: float, spread: NDArray[np.bool_]) -> list[Estimate]:
    """One for each value [K] with its draws [r, K]; ``spread`` [K] tells where an interval is known."""
    low, high = np.where(spread, _quantiles(draws, confidence), np.nan)
    return [Estimate(float(v), float(a), float(b)) for v, a, b in zip(values, low, high, strict=True)]


def _quantiles(draws: Floats, confidence: float) -> Floats:
    if not 0.0 < confidence < 1.0:
        raise InvalidParameter(f"confidence is a fraction between 0 and 1, not {confidence!r}.")
    return np.quantile(draws, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0], axis=0)


def _parts(x: Scores) -> list[ArrayLike]:
    """One group if ``x`` is a row of numbers, otherwise one group an item."""
    listed: list[Any] = list(x) if isinstance(x, np.ndarray | Sequence) else [x]
    return [listed] if listed and all(np.ndim(item) == 0 for item in listed) else listed


def _reducible(x: ArrayLike, axis: int | None) -> tuple[Floats, int]:
    x = _finite(x)
    if not x.size:
        raise InvalidParameter("There are no scores to take a statistic of.")
    return (x.reshape(-1), 0) if axis is None else (x, axis)


def _finite(x: ArrayLike) -> Floats:
    x = np.asarray(x, dtype=np.float64)
    if not np.isfinite(x).all():
        raise InvalidParameter("Scores must be finite numbers: leave failed episodes out, and count them apart.")
    return x
