"""Pushing and popping."""


def push(heap, value):
    """Add a value."""
    heap.append(value)
    at = len(heap) - 1
    while at > 0:
        above = (at - 1) // 2
        if heap[above] <= heap[at]:
            break
        heap[above], heap[at] = heap[at], heap[above]
        at = above


def pop(heap):
    """Remove and return the smallest value."""
    if not heap:
        raise IndexError("an empty heap")
    smallest = heap[0]
    last = heap.pop()
    if heap:
        heap[0] = last
        sink(heap, 0)
    return smallest


def sink(heap, at):
    """Move an entry down until neither below is smaller."""
    while True:
        least = at
        for below in (2 * at + 1, 2 * at + 2):
            if below < len(heap) and heap[below] < heap[least]:
                least = below
        if least == at:
            break
        heap[at], heap[least] = heap[least], heap[at]
        at = least


def is_heap(values):
    """Whether a list is a heap."""
    return all(values[(at - 1) // 2] <= values[at] for at in range(1, len(values)))
