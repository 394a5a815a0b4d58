"""Blackjack."""


def card_value(card):
    """Pictures count ten, an ace eleven."""
    rank = card[0]
    if rank == 14:
        return 11
    return min(rank, 10)


def hand_value(hand):
    """The sum of a hand; aces count one where eleven would be too much."""
    total = sum(card_value(card) for card in hand)
    aces = sum(1 for rank, _ in hand if rank == 14)
    while total > 21 and aces > 0:
        total -= 10
        aces -= 1
    return total


def dealer_hand(hand, deck, stand=17):
    """The dealer's hand after drawing from a deck until it stands."""
    hand = list(hand)
    for card in deck:
        if hand_value(hand) >= stand:
            break
        hand.append(card)
    return hand


def outcome(player, dealer):
    """What a player wins: 1, 0 or -1; who is over 21 loses, the player first."""
    mine, theirs = hand_value(player), hand_value(dealer)
    if mine > 21:
        return -1
    if theirs > 21 or mine > theirs:
        return 1
    return 0 if mine == theirs else -1
