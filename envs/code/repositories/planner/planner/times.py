"""When tasks can start and when they have to."""

from planner.order import ordered


def earliest(plan):
    """The earliest start of each task."""
    start = {}
    for task in ordered(plan):
        ends = [start[need] + plan[need][0] for need in plan[task][1]]
        start[task] = max(ends, default=0)
    return start


def total_time(plan):
    """When the last task ends, with enough people."""
    start = earliest(plan)
    return max((start[task] + plan[task][0] for task in plan), default=0)


def latest(plan, end=None):
    """The latest start of each task, to be ready at the end."""
    if end is None:
        end = total_time(plan)
    start = {}
    for task in reversed(ordered(plan)):
        limits = [start[other] for other in plan if task in plan[other][1]]
        start[task] = min(limits, default=end) - plan[task][0]
    return start


def critical(plan):
    """Tasks that cannot be late, sorted."""
    first, last = earliest(plan), latest(plan)
    return sorted(task for task in plan if first[task] == last[task])
