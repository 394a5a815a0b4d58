"""The bootstrap of very many scores, compiled: the draws of :mod:`agentgym.stats`, without an array of them.

A resample is never sorted. How often each score was drawn is counted within its condition, which fits into the
processor's nearest cache. The sum of the p smallest scores of the resample then needs the scores one by one only near
the place where the p-th can lie; all others enter as two sums a condition. That place is within ``REACH * sqrt(N)``
ranks of p but for one resample in 10^18 (Hoeffding 1963, theorem 2); where it is not, the search is repeated, wider.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["resample"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

REACH = 4.6
MOST_THREADS = 8  # each holds one resample


def resample(
    scores: Floats, sizes: Whole, places: Floats, resamples: int, seed: int, reach: float = REACH
) -> tuple[Floats, Floats]:
    """Redraw scores within their conditions.

    Args:
        scores: [N], condition after condition.
        sizes: numbers of scores of the G conditions, each at least 1.
        places: p [K], ascending, from 0 to N; they need not be whole.
        resamples: number of resamples.
        seed: row b of ``default_rng(seed).random((resamples, N))`` makes resample b, whatever the number of threads.
        reach: half the width of what is looked at one by one, in units of sqrt(N).

    Returns:
        The means of the conditions, [resamples, G], and the sums of the p smallest scores of all, [resamples, K].
    """
    plan = _plan(scores, sizes, places, reach)
    threads = min(joblib.cpu_count(), MOST_THREADS, resamples)
    edges = np.linspace(0, resamples, threads + 1).astype(int)
    means, sums = np.empty((resamples, len(sizes))), np.empty((resamples, len(places)))
    joblib.Parallel(n_jobs=threads, backend="threading")(
        joblib.delayed(_rows)(plan, sizes, places, seed, int(first), means[first:last], sums[first:last])
        for first, last in itertools.pairwise(edges)
    )
    if np.isnan(sums).any():
        return resample(scores, sizes, places, resamples, seed, 4.0 * reach)
    return means, sums


@dataclass(frozen=True)
class _Plan:
    """Scores sorted within their conditions, and which of them are looked at one by one.

    Attributes:
        scores: [N].
        order: the place of each score within its sorted condition, int32 [N].
        edges: [G, 2 K + 2]: each condition's sorted scores in 2 K + 1 pieces; the odd ones are looked at one by one.
        near: for each score its place among those looked at one by one, int32 [N].
        values: these scores in ascending order.
        ends: [K + 1]: where in ``values`` the scores around each p begin.
    """

    scores: Floats
    order: NDArray[np.int32]
    edges: Whole
    near: NDArray[np.int32]
    values: Floats
    ends: Whole


def _plan(scores: Floats, sizes: Whole, places: Floats, reach: float) -> _Plan:
    count, starts = len(scores), np.cumsum(sizes) - sizes
    group = np.repeat(np.arange(len(sizes)), sizes)
    overall = np.argsort(scores, kind="stable")
    by_group = overall[np.argsort(group[overall], kind="stable")]  # each condition's scores in ascending order
    order, rank = np.empty(count, np.int32), np.empty(count, np.int64)
    order[by_group] = np.arange(count) - starts[group]
    rank[overall] = np.arange(count)
    rank = rank[by_group]
    half, bounds = math.ceil(reach * math.sqrt(count)), [0]
    for place in places:  # the scores around each place, none twice
        bounds += [max(bounds[-1], int(place) - half), max(bounds[-1], min(count, int(place) + half + 1))]
    bounds.append(count)
    before = np.searchsorted(rank + group * count, np.arange(len(sizes))[:, None] * count + np.array(bounds))
    alone = list(zip(bounds[1:-1:2], bounds[2::2], strict=True))
    ends = np.cumsum([0, *(last - first for first, last in alone)])
    shift = np.zeros(count, np.int64)
    for (first, last), begin in zip(alone, ends[:-1], strict=True):
        shift[first:last] = begin - first
    values = scores[overall]
    return _Plan(
        scores=scores[by_group],
        order=order,
        edges=before - starts[:, None],
        near=(rank + shift[rank]).astype(np.int32),
        values=np.concatenate([values[first:last] for first, last in alone] or [values[:0]]),
        ends=ends.astype(np.int64),
    )


def _rows(plan: _Plan, sizes: Whole, places: Floats, seed: int, first: int, means: Floats, sums: Floats) -> None:
    """The resamples from ``first`` on, as many as ``means`` and ``sums`` have rows, which are written."""
    source = np.random.PCG64(seed)
    source.advance(first * len(plan.scores))  # one number of 64 bits a draw
    generator, uniform = np.random.Generator(source), np.empty(len(plan.scores))
    for row in range(len(means)):
        generator.random(out=uniform)
        _one(
            uniform, sizes, plan.order, plan.scores, plan.edges, plan.near, plan.values, plan.ends, places,
            means[row], sums[row],
        )  # fmt: skip


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _one(
    uniform: Any, sizes: Any, order: Any, scores: Any, edges: Any, near: Any, values: Any, ends: Any, places: Any,
    means: Any, sums: Any,
) -> None:  # fmt: skip
    """One resample; writes ``means`` and ``sums``, NaN where a place was not among the scores looked at."""
    pieces = len(places) + 1
    many, total = np.zeros(pieces), np.zeros(pieces)  # of the pieces that are not looked at
    drawn = np.zeros(len(values), np.int32)
    counts, chosen = np.zeros(sizes.max(), np.int32), np.empty(sizes.max(), np.int32)
    start = 0
    for group in range(len(sizes)):
        size = sizes[group]
        own, here, random = counts[:size], order[start : start + size], uniform[start : start + size]
        own[:] = 0
        for i in range(size):  # apart from the next loop, and with unsigned places in it, it is four times as fast
            chosen[i] = np.int32(random[i] * size)
        for i in range(size):
            own[np.uint32(here[np.uint32(chosen[i])])] += 1
        value, at, mean = scores[start : start + size], near[start : start + size], 0.0
        for piece in range(pieces):
            s, c = 0.0, 0
            for i in range(edges[group, 2 * piece], edges[group, 2 * piece + 1]):
                s += own[i] * value[i]
                c += own[i]
            many[piece] += c
            total[piece] += s
            mean += s
            if piece < pieces - 1:
                for i in range(edges[group, 2 * piece + 1], edges[group, 2 * piece + 2]):
                    drawn[at[i]] += own[i]
                    mean += own[i] * value[i]
        means[group] = mean / size
        start += size
    seen, passed = 0.0, 0.0
    for k in range(len(places)):
        seen, passed = seen + many[k], passed + total[k]
        sums[k] = passed if seen == places[k] else np.nan
        for i in range(ends[k], ends[k + 1]):
            if seen <= places[k] <= seen + drawn[i]:
                sums[k] = passed + (places[k] - seen) * values[i]
            seen, passed = seen + drawn[i], passed + drawn[i] * values[i]
