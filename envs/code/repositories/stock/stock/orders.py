"""When and how much to order."""


def reorder_level(daily, days, safety=0):
    """Units at which to order: what is sold until the delivery, and a reserve."""
    return daily * days + safety


def to_order(have, level, pack=1):
    """Units to order in whole packs, to be above the level again; 0 if there are enough."""
    if have > level:
        return 0
    missing = level - have + 1
    packs = (missing + pack - 1) // pack
    return packs * pack


def days_left(have, daily):
    """Whole days that the units last; None if nothing is sold."""
    if daily == 0:
        return None
    return have // daily


def urgent(stock, sales, days):
    """Names of what lasts no longer than some days, the shortest first."""
    found = []
    for name in sorted(stock):
        left = days_left(stock[name], sales.get(name, 0))
        if left is not None and left <= days:
            found.append((left, name))
    return [name for _, name in sorted(found)]
