"""Spreads and ranks."""

from samples.middles import quantile


def spread(values):
    """The largest minus the smallest value; 0 for none."""
    if not values:
        return 0
    return max(values) - min(values)


def middle_half(values):
    """The difference of the upper and lower quartile."""
    return quantile(values, 75) - quantile(values, 25)


def outliers(values, factor=2):
    """Values far outside of the middle half, in their order."""
    reach = factor * middle_half(values)
    low = quantile(values, 25) - reach
    high = quantile(values, 75) + reach
    return [value for value in values if value < low or value > high]


def ranks(values):
    """The rank of each value, from 1 for the largest; equal values share the best rank."""
    return [1 + sum(1 for other in values if other > value) for value in values]


def inversions(values):
    """Pairs in which the larger value comes first."""
    count = 0
    for at, value in enumerate(values):
        for other in values[at + 1 :]:
            if value > other:
                count += 1
    return count
