"""Middles and quantiles."""


def median_doubled(values):
    """Twice the median, which is whole."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return 2 * ordered[half]
    return ordered[half - 1] + ordered[half]


def quantile(values, percent):
    """The smallest value with at least some percent of all values at or below it."""
    ordered = sorted(values)
    place = -(-len(ordered) * percent // 100)
    return ordered[max(place, 1) - 1]


def modes(values):
    """The most frequent values, sorted."""
    found = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    most = max(found.values(), default=0)
    return sorted(value for value, count in found.items() if count == most)


def trimmed_sum(values, cut=1):
    """The sum without the smallest and largest values."""
    if 2 * cut >= len(values):
        return 0
    return sum(sorted(values)[cut : len(values) - cut])
