"""Boxes (left, low, right, high)."""


def box_of(points, margin=0):
    """The smallest box around points, and a margin."""
    xs = [x for x, _ in points]
    ys = [y for _, y in points]
    return (min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin)


def area(box):
    """The area; 0 if the box is empty."""
    left, low, right, high = box
    if right <= left or high <= low:
        return 0
    return (right - left) * (high - low)


def common_box(first, second):
    """The part that two boxes share, which may be empty."""
    return (
        max(first[0], second[0]), max(first[1], second[1]), min(first[2], second[2]), min(first[3], second[3]),
    )  # fmt: skip


def covered_area(first, second):
    """The area that at least one of two boxes covers."""
    return area(first) + area(second) - area(common_box(first, second))


def holds(box, point):
    """Whether a point lies in a box, its border included."""
    left, low, right, high = box
    return left <= point[0] <= right and low <= point[1] <= high
