"""One or two intervals."""


def length(interval):
    """The number of points in an interval."""
    start, end = interval
    return max(0, end - start)


def contains(interval, point):
    """Whether a point lies in an interval; the end does not."""
    return interval[0] <= point and point < interval[1]


def overlap(first, second):
    """The common part of two intervals, or None."""
    start = max(first[0], second[0])
    end = min(first[1], second[1])
    if start >= end:
        return None
    return (start, end)


def shifted(interval, by, least=0):
    """An interval moved by some points, but not below the least."""
    start = max(least, interval[0] + by)
    return (start, start + length(interval))
