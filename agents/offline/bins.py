"""Rewards and returns in bins, for agents that keep tables."""

import numpy as np

from agentgym.errors import InvalidParameter

__all__ = ["binned"]


def binned(values: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """A bin for each value: exact where there are few distinct ones, else bins of about equal counts.

    Args:
        values: float ``[N]``.
        bins: at most so many.

    Returns:
        Each value's bin, int64 ``[N]``, and the mean value in each, float64 and increasing, ``[bins]``; bins that are
        not needed have NaN.

    Raises:
        InvalidParameter: there is no bin.
    """
    if bins < 1:
        raise InvalidParameter(f"The number of bins is {bins}; it must be at least 1.")
    edges = np.unique(values)
    if len(edges) > bins:
        edges = np.unique(np.quantile(values, np.arange(bins) / bins))
    index = np.searchsorted(edges, values, side="right") - 1
    counts = np.bincount(index, minlength=bins)
    means = np.full(bins, np.nan)
    used = counts > 0
    means[used] = np.bincount(index, values, minlength=bins)[used] / counts[used]
    return index, means
