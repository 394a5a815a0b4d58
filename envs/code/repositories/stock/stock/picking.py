"""Picking lists."""

from stock.batches import take, units_in


def can_fill(store, order):
    """Whether the store has all units of an order."""
    return all(units_in(store.get(name, [])) >= units for name, units in order.items())


def fill(store, order):
    """Take an order from the store; returns the new store and the cost."""
    if not can_fill(store, order):
        raise KeyError("not in stock")
    total = 0
    after = dict(store)
    for name in sorted(order):
        after[name], cost = take(after.get(name, []), order[name])
        total += cost
    return after, total


def route(order, shelves, start=0):
    """Names of an order by their shelf, going up from the start and then back down to what was passed."""
    ahead = sorted((shelves[name], name) for name in order if shelves[name] >= start)
    behind = sorted(((shelves[name], name) for name in order if shelves[name] < start), reverse=True)
    return [name for _, name in ahead + behind]


def boxes(sizes, room):
    """The number of boxes when each thing goes into the first box with room, the largest things first."""
    free = []
    for size in sorted(sizes, reverse=True):
        for number, left in enumerate(free):
            if left >= size:
                free[number] = left - size
                break
        else:
            free.append(room - size)
    return len(free)
