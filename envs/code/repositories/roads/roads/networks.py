"""Networks that connect towns."""


def parts(towns):
    """Groups of connected towns, each sorted, the largest first."""
    seen = set()
    groups = []
    for town in sorted(towns):
        if town in seen:
            continue
        group = []
        waiting = [town]
        seen.add(town)
        while waiting:
            here = waiting.pop()
            group.append(here)
            for other in towns[here]:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        groups.append(sorted(group))
    return sorted(groups, key=lambda group: (-len(group), group))


def cheapest_network(roads):
    """The total length of the shortest roads that keep all towns connected."""
    group = {}
    total = 0
    for far, first, second in sorted((far, first, second) for first, second, far in roads):
        one, other = group.get(first, first), group.get(second, second)
        if one == other and first in group:
            continue
        total += far
        for town in [first, second, *[town for town, name in group.items() if name in (one, other)]]:
            group[town] = one
    return total


def within_legs(towns, start, legs):
    """Towns that can be reached in at most some legs, without the start, sorted."""
    reached = {start}
    for _ in range(legs):
        reached = reached | {other for town in reached for other in towns[town]}
    return sorted(reached - {start})
