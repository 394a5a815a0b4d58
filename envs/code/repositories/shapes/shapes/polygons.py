"""Polygons as lists of corners."""

from shapes.boxes import box_of, holds
from shapes.points import between, turn


def doubled_area(corners):
    """Twice the area; negative if the corners go clockwise."""
    total = 0
    for at, (x, y) in enumerate(corners):
        after = corners[(at + 1) % len(corners)]
        total += x * after[1] - after[0] * y
    return total


def is_convex(corners):
    """Whether all turns go the same way."""
    size = len(corners)
    turns = [turn(corners[at], corners[(at + 1) % size], corners[(at + 2) % size]) for at in range(size)]
    return all(value >= 0 for value in turns) or all(value <= 0 for value in turns)


def inside(point, corners):
    """Whether a point lies in a polygon, its border included."""
    if not holds(box_of(corners), point):
        return False
    odd = False
    for at, first in enumerate(corners):
        second = corners[at - 1]
        if between(point, first, second):
            return True
        if (first[1] > point[1]) != (second[1] > point[1]):
            side = turn(first, second, point)
            if (side > 0) == (second[1] > first[1]):
                odd = not odd
    return odd


def hull(points):
    """The corners of the convex hull, counter-clockwise from the leftmost."""
    points = sorted(set(points))
    if len(points) < 3:
        return points
    parts = []
    for order in (points, points[::-1]):
        part = []
        for point in order:
            while len(part) > 1 and turn(part[-2], part[-1], point) <= 0:
                part.pop()
            part.append(point)
        parts += part[:-1]
    return parts
