"""Points and lines."""


def turn(first, second, third):
    """Positive if the way over three points turns left, negative if right, 0 if straight."""
    return (second[0] - first[0]) * (third[1] - first[1]) - (second[1] - first[1]) * (third[0] - first[0])


def squared_distance(first, second):
    """The square of the distance."""
    return (first[0] - second[0]) ** 2 + (first[1] - second[1]) ** 2


def nearest(point, points):
    """The nearest of some points, the first among equals; None if there are none."""
    best = None
    for other in points:
        if best is None or squared_distance(point, other) < squared_distance(point, best):
            best = other
    return best


def between(point, first, second):
    """Whether a point lies on the line from one point to another, ends included."""
    if turn(first, second, point) != 0:
        return False
    left, right = min(first[0], second[0]), max(first[0], second[0])
    low, high = min(first[1], second[1]), max(first[1], second[1])
    return left <= point[0] <= right and low <= point[1] <= high
