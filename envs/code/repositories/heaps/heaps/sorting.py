"""Sorting with heaps."""

from heaps.heap import pop, push


def heap_sorted(values, reverse=False):
    """Sorted values."""
    heap = []
    for value in values:
        push(heap, value)
    result = [pop(heap) for _ in range(len(values))]
    return result[::-1] if reverse else result


def smallest(values, count):
    """The smallest values, sorted; fewer if there are not enough."""
    heap = []
    for value in values:
        push(heap, value)
    return [pop(heap) for _ in range(min(count, len(heap)))]


def merged(lists):
    """One sorted list of several."""
    heap = []
    for number, values in enumerate(lists):
        if values:
            push(heap, (values[0], number, 0))
    result = []
    while heap:
        value, number, at = pop(heap)
        result.append(value)
        if at + 1 < len(lists[number]):
            push(heap, (lists[number][at + 1], number, at + 1))
    return result


def running_median(values):
    """The lower median of the first 1, 2, 3, ... values."""
    found = []
    for count in range(1, len(values) + 1):
        ordered = heap_sorted(values[:count])
        found.append(ordered[(count - 1) // 2])
    return found
