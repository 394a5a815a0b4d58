"""Shortest routes."""

from roads.maps import route_length


def distances(towns, start):
    """The length of the shortest route to each town that can be reached."""
    best = {start: 0}
    done = set()
    while len(done) < len(best):
        town = min((name for name in sorted(best) if name not in done), key=lambda name: best[name])
        done.add(town)
        for other, far in towns[town].items():
            length = best[town] + far
            if other not in best or length < best[other]:
                best[other] = length
    return best


def shortest_route(towns, start, end):
    """The towns of a shortest route; None if there is none."""
    best = distances(towns, start)
    if end not in best:
        return None
    route = [end]
    while route[-1] != start:
        here = route[-1]
        for town in sorted(towns):
            if town in best and here in towns[town] and best[town] + towns[town][here] == best[here]:
                route.append(town)
                break
    return route[::-1]


def detour(towns, route):
    """How much longer a route is than the shortest one between its ends."""
    return route_length(towns, route) - distances(towns, route[0])[route[-1]]


def farthest(towns, start):
    """The town with the longest shortest route, the first by name among equals."""
    best = distances(towns, start)
    return max(sorted(best), key=lambda town: best[town])
