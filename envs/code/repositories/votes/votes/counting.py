"""Votes and points."""


def first_votes(ballots):
    """How often each candidate is first."""
    found = {}
    for ballot in ballots:
        if ballot:
            found[ballot[0]] = found.get(ballot[0], 0) + 1
    return found


def majority(ballots):
    """The candidate whom more than half of the ballots name first, or None."""
    votes = first_votes(ballots)
    total = sum(votes.values())
    for name in sorted(votes):
        if 2 * votes[name] > total:
            return name
    return None


def borda(ballots):
    """Points: on a ballot of n names the first gets n - 1, the last 0."""
    points = {}
    for ballot in ballots:
        for place, name in enumerate(ballot):
            points[name] = points.get(name, 0) + len(ballot) - 1 - place
    return points


def best_of(points):
    """Names with the most points, sorted."""
    most = max(points.values(), default=0)
    return sorted(name for name in points if points[name] == most)
