"""Batches are lists [units, price], the oldest first."""


def receive(batches, units, price):
    """Batches after a delivery; equal prices at the end are joined."""
    if units <= 0:
        raise ValueError("a delivery has units")
    batches = [list(batch) for batch in batches]
    if batches and batches[-1][1] == price:
        batches[-1][0] += units
    else:
        batches.append([units, price])
    return batches


def units_in(batches):
    """The number of units."""
    return sum(units for units, _ in batches)


def take(batches, units):
    """Remove the oldest units; returns the rest and their cost."""
    if units > units_in(batches):
        raise ValueError("there are not enough units")
    cost = 0
    rest = []
    for count, price in batches:
        used = min(count, units)
        cost += used * price
        units -= used
        if count > used:
            rest.append([count - used, price])
    return rest, cost


def average_price(batches):
    """The mean price of a unit, rounded down; None for an empty store."""
    units = units_in(batches)
    if units == 0:
        return None
    return sum(count * price for count, price in batches) // units
