"""Histograms and moving windows."""

from samples.spreads import spread


def histogram(values, width, start=0):
    """How many values lie in each bin, from the start; values below it are left out."""
    counts = []
    for value in values:
        if value < start:
            continue
        place = (value - start) // width
        while len(counts) <= place:
            counts.append(0)
        counts[place] += 1
    return counts


def moving_sums(values, size):
    """The sum of each window."""
    if size < 1 or size > len(values):
        return []
    total = sum(values[:size])
    sums = [total]
    for at in range(size, len(values)):
        total += values[at] - values[at - size]
        sums.append(total)
    return sums


def calm_windows(values, size, most):
    """The first places of windows whose spread is at most this."""
    return [at for at in range(len(values) - size + 1) if spread(values[at : at + size]) <= most]


def best_stretch(values):
    """The largest sum of values in a row; 0 for none."""
    best = 0
    total = 0
    for value in values:
        total = max(0, total + value)
        best = max(best, total)
    return best


def peaks(values):
    """Places whose value is larger than both neighbours."""
    return [at for at in range(1, len(values) - 1) if values[at - 1] < values[at] and values[at] > values[at + 1]]
