"""A waiting room: the most urgent first, then who came first."""

from heaps.heap import pop, push


def served(arrivals):
    """Names in the order in which they are served; arrivals are pairs (urgency, name), all there at the start."""
    heap = []
    for number, (urgency, name) in enumerate(arrivals):
        push(heap, (-urgency, number, name))
    order = []
    while heap:
        order.append(pop(heap)[2])
    return order


def ends(jobs, servers=1):
    """When each job ends; jobs (arrival, duration) in order of arrival go to the server that is free first."""
    free = []
    for _ in range(servers):
        push(free, 0)
    found = []
    for arrival, duration in jobs:
        start = max(arrival, pop(free))
        push(free, start + duration)
        found.append(start + duration)
    return found


def longest_wait(jobs, servers=1):
    """The longest time between arrival and start."""
    longest = 0
    for (arrival, duration), end in zip(jobs, ends(jobs, servers)):
        wait = end - duration - arrival
        if wait > longest:
            longest = wait
    return longest
