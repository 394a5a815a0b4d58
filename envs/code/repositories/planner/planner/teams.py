"""Tasks for a number of people."""

from planner.order import ordered
from planner.times import total_time


def with_team(plan, people):
    """When the last task ends if each of some people does one task at a time, in order."""
    if people < 1:
        raise ValueError("nobody is there")
    free = [0] * people
    ends = {}
    for task in ordered(plan):
        duration, needs = plan[task]
        worker = free.index(min(free))
        start = max([free[worker]] + [ends[need] for need in needs])
        ends[task] = start + duration
        free[worker] = ends[task]
    return max(ends.values(), default=0)


def people_for(plan, most=10):
    """The fewest people with whom a plan is as short as it can be; None if that takes too many."""
    best = total_time(plan)
    for people in range(1, most + 1):
        if with_team(plan, people) == best:
            return people
    return None


def work(plan, people=1):
    """The sum of all durations, per person, rounded up."""
    total = sum(duration for duration, _ in plan.values())
    return -(-total // people)
