"""Hands of five cards."""


def rank_counts(hand):
    """Pairs (how often, rank), the most frequent first, then the highest."""
    found = {}
    for rank, _ in hand:
        found[rank] = found.get(rank, 0) + 1
    return sorted(((count, rank) for rank, count in found.items()), reverse=True)


def is_flush(hand):
    """Whether all cards have the same suit."""
    return len({suit for _, suit in hand}) == 1


def is_straight(hand):
    """Whether the ranks follow each other; an ace also goes before a two."""
    ranks = sorted(rank for rank, _ in hand)
    if ranks == [2, 3, 4, 5, 14]:
        return True
    return all(ranks[at + 1] - ranks[at] == 1 for at in range(len(ranks) - 1))


def kind(hand):
    """From 0, nothing, to 8, a straight flush."""
    groups = [count for count, _ in rank_counts(hand)]
    if is_straight(hand) and is_flush(hand):
        return 8
    if groups[0] == 4:
        return 7
    if groups[0] == 3 and groups[1] == 2:
        return 6
    if is_flush(hand):
        return 5
    if is_straight(hand):
        return 4
    if groups[0] == 3:
        return 3
    if groups[0] == 2:
        return 2 if groups[1] == 2 else 1
    return 0


def better(first, second):
    """1 if the first hand wins, -1 if the second does, 0 if neither."""
    one = (kind(first), rank_counts(first))
    other = (kind(second), rank_counts(second))
    if one > other:
        return 1
    if one < other:
        return -1
    return 0
