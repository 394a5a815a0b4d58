"""Seats of parties."""


def highest_averages(votes, seats, step=1):
    """Seats by highest averages: divisors 1, 1 + step, 1 + 2 step, ...; by name among equals."""
    won = dict.fromkeys(votes, 0)
    for _ in range(seats):
        best = max(sorted(votes), key=lambda party: votes[party] / (1 + step * won[party]))
        won[best] += 1
    return won


def largest_remainders(votes, seats):
    """Seats by whole quotas, then by the largest remainders."""
    total = sum(votes.values())
    won = {party: votes[party] * seats // total for party in votes}
    rest = sorted(votes, key=lambda party: (-(votes[party] * seats % total), party))
    for party in rest[: seats - sum(won.values())]:
        won[party] += 1
    return won


def above(votes, percent):
    """The votes of the parties with at least some percent of all."""
    total = sum(votes.values())
    return {party: count for party, count in votes.items() if 100 * count >= percent * total}


def coalition(won, first):
    """The fewest parties that have more than half of the seats with the first, largest partners first; None if none."""
    needed = sum(won.values()) // 2 + 1
    seats = won[first]
    members = [first]
    for party in sorted(won, key=lambda name: (-won[name], name)):
        if seats >= needed:
            break
        if party != first:
            members.append(party)
            seats += won[party]
    return members if seats >= needed else None
