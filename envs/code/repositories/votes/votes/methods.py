"""Methods to find one winner."""

from votes.counting import best_of, borda, first_votes, majority


def prefers(ballot, first, second):
    """Whether a ballot ranks one candidate above another; those it does not name come last."""
    if first not in ballot:
        return False
    return second not in ballot or ballot.index(first) < ballot.index(second)


def duel(ballots, first, second):
    """By how many ballots the first candidate beats the second."""
    lead = 0
    for ballot in ballots:
        if prefers(ballot, first, second):
            lead += 1
        elif prefers(ballot, second, first):
            lead -= 1
    return lead


def condorcet(ballots):
    """The candidate who beats all others in duels, or None."""
    names = sorted({name for ballot in ballots for name in ballot})
    for name in names:
        if all(duel(ballots, name, other) > 0 for other in names if other != name):
            return name
    return None


def runoff(ballots):
    """The winner when the weakest candidate drops out until one has a majority; by name among equals."""
    winner = majority(ballots)
    while winner is None:
        votes = first_votes(ballots)
        if not votes:
            return None
        names = {name for ballot in ballots for name in ballot}
        weakest = min(sorted(names, reverse=True), key=lambda name: votes.get(name, 0))
        ballots = [[name for name in ballot if name != weakest] for ballot in ballots]
        winner = majority(ballots)
    return winner


def borda_winner(ballots):
    """The first by name of those with the most points; None without ballots."""
    best = best_of(borda(ballots))
    return best[0] if best else None
