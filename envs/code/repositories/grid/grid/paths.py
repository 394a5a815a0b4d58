"""Shortest paths."""

from grid.cells import at, neighbours


def steps(rows, start, goal):
    """The number of steps of a shortest path around walls; None if there is none."""
    seen = {start: 0}
    waiting = [start]
    while waiting:
        cell = waiting.pop(0)
        if cell == goal:
            return seen[cell]
        for other in neighbours(cell):
            if other not in seen and at(rows, other) != "#":
                seen[other] = seen[cell] + 1
                waiting.append(other)
    return None


def reachable(rows, start, most):
    """The number of cells that can be reached with at most some steps, with the start."""
    front = {start}
    seen = {start}
    for _ in range(most):
        front = {other for cell in front for other in neighbours(cell) if at(rows, other) != "#"}
        front = front - seen
        seen |= front
    return len(seen)


def nearest(rows, start, goals):
    """The goal with the shortest path; the first among equals; None if none can be reached."""
    best = None
    least = None
    for goal in goals:
        far = steps(rows, start, goal)
        if far is None:
            continue
        if least is None or far < least:
            best, least = goal, far
    return best
