"""Building and reading maps."""


def from_roads(roads, one_way=False):
    """A map of a list of roads (town, town, kilometres); of two roads between the same towns the shorter counts."""
    towns = {}
    for first, second, far in roads:
        if far < 0:
            raise ValueError("a negative length")
        for start, end in [(first, second)] if one_way else [(first, second), (second, first)]:
            known = towns.setdefault(start, {})
            towns.setdefault(end, {})
            known[end] = min(far, known.get(end, far))
    return towns


def dead_ends(towns):
    """Towns with one road, sorted."""
    return sorted(town for town in towns if len(towns[town]) == 1)


def route_length(towns, route):
    """The length of a route; None if a road is missing."""
    total = 0
    for start, end in zip(route, route[1:]):
        if end not in towns[start]:
            return None
        total += towns[start][end]
    return total
