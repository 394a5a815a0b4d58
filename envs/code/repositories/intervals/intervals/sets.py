"""Lists of intervals."""

from intervals.basic import length, overlap


def merged(intervals):
    """The same points as sorted intervals that neither touch nor overlap."""
    result = []
    for start, end in sorted(intervals):
        if start >= end:
            continue
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def covered(intervals):
    """The number of points that lie in at least one interval."""
    return sum(length(interval) for interval in merged(intervals))


def gaps(intervals, start, end):
    """The parts between start and end that no interval covers."""
    found = []
    for first, last in merged(intervals):
        if first > start:
            found.append((start, min(first, end)))
        start = max(start, last)
        if start >= end:
            break
    if start < end:
        found.append((start, end))
    return found


def common(first, second):
    """The points that lie in both lists."""
    parts = []
    for one in merged(first):
        for other in merged(second):
            shared = overlap(one, other)
            if shared is not None:
                parts.append(shared)
    return parts
