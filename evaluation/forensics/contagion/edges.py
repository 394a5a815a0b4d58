"""Edges between agents: pooled over a causal window, and measured against clean episodes.

A series of edges has the axes [N, T, A, A]: entry (j, i) is what agent j sends to agent i at a step.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import InvalidParameter

__all__ = ["DECAY", "STEPS", "EdgeScale", "gap_edges", "growth", "pooled"]

Floats = NDArray[np.float64]

DECAY, STEPS = 0.8, 6  # the causal window: weights 0.8^k over 6 steps
QUANTILE = 0.95  # of clean edges; an edge above it is kept
FLOOR = 0.02  # of an edge's clean deviation, as a share of that of all edges together


def pooled(series: Floats, decay: float = DECAY, steps: int = STEPS) -> Floats:
    """sum_k decay^k e(t - k) over the last ``steps`` steps, along the axis of time: [N, T, ...] -> [N, T, ...]."""
    finite_number("decay", decay, 0.0, 1.0)
    whole_number("steps", steps, 1)
    found = np.zeros_like(series)
    for k in range(min(steps, series.shape[1])):
        found[:, k:] += decay**k * series[:, : series.shape[1] - k]
    return found


def growth(series: Floats) -> Floats:
    """The least-squares slope per step along the first axis: [w, ...] -> [...]; zero for a single step."""
    if len(series) < 2:
        return np.zeros(series.shape[1:])
    time = np.arange(len(series)) - (len(series) - 1) / 2
    slope: Floats = np.tensordot(time, series, 1) / (time @ time)
    return slope


def gap_edges(moves: Floats) -> Floats:
    """Edges without a critic: the norm of what each agent did beside its nominal action, sent to every other.

    Args:
        moves: d_j, [N, T, A, k].

    Returns:
        [N, T, A, A], zeros on the diagonal.
    """
    agents = moves.shape[2]
    size = np.linalg.norm(moves, axis=-1)[..., None]
    found: Floats = size * ~np.eye(agents, dtype=bool)
    return found


@dataclass(frozen=True)
class EdgeScale:
    """How large edges are in clean episodes.

    Attributes:
        mean, deviation: of every edge over clean steps, [A, A].
        limit: the clean 95 % quantile of pooled standardised edges, [A, A]; infinite on the diagonal.
        decay, steps: the causal window.
    """

    mean: Floats
    deviation: Floats
    limit: Floats
    decay: float = DECAY
    steps: int = STEPS

    @classmethod
    def of(
        cls, series: Floats, there: NDArray[np.bool_] | None = None, decay: float = DECAY, steps: int = STEPS
    ) -> "EdgeScale":
        """The scale of clean series of edges.

        Args:
            series: [N, T, A, A].
            there: which steps are part of an episode, bool [N, T]; None for all.
            decay, steps: the causal window.

        Raises:
            InvalidParameter: there is no step, or an edge is not finite.
        """
        there = np.ones(series.shape[:2], bool) if there is None else there
        known = series[there]
        if not len(known) or not np.isfinite(known).all():
            raise InvalidParameter("Edges of clean episodes must be finite, and there must be at least one step.")
        spread = known.std(axis=0)
        apart = ~np.eye(series.shape[2], dtype=bool)
        floor = FLOOR * float(spread[apart].max()) if apart.any() else 0.0
        # 1e-9 keeps an edge that never moves in clean play at z = 0 instead of 0 / 0; any move of it is then far out.
        scale = cls(known.mean(axis=0), np.maximum(spread, max(floor, 1e-9)), spread, decay, steps)
        limit = np.quantile(scale.pooled(series)[there], QUANTILE, axis=0)
        return cls(scale.mean, scale.deviation, np.where(apart, limit, np.inf), decay, steps)

    def standardised(self, series: Floats) -> Floats:
        """Edges less their clean mean, in clean standard deviations."""
        return (series - self.mean) / self.deviation

    def pooled(self, series: Floats) -> Floats:
        """Standardised edges pooled over the causal window, [N, T, A, A]."""
        return pooled(self.standardised(series), self.decay, self.steps)
