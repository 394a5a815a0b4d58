"""Binning of rewards and returns, for tabular agents."""

import numpy as np

from agentgym.errors import InvalidParameter

__all__ = ["binned"]


def binned(values: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Assign a bin to each value: one per distinct value if these are few, otherwise bins of about equal counts.

    Args:
        values: float ``[N]``.
        bins: maximum number of bins.

    Returns:
        The bin of each value, int64 ``[N]``, and the mean value of each bin, float64 ``[bins]`` and increasing. Unused
        bins have NaN.

    Raises:
        InvalidParameter: ``bins`` is less than 1.
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
