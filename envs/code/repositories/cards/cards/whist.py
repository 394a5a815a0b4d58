"""Tricks of whist."""


def allowed(hand, led=None):
    """The cards that may be played: those of the led suit, if there are any."""
    if led is None:
        return list(hand)
    fitting = [card for card in hand if card[1] == led]
    return fitting or list(hand)


def beats(card, best, trump=None):
    """Whether a card beats the best so far."""
    if card[1] == best[1]:
        return card[0] > best[0]
    return card[1] == trump


def trick_winner(cards, trump=None, leader=0):
    """The player who wins a trick; cards are in order of play, and players sit in a circle."""
    best = 0
    for at in range(1, len(cards)):
        if beats(cards[at], cards[best], trump):
            best = at
    return (leader + best) % len(cards)


def tricks_won(tricks, trump=None):
    """How many tricks each player wins; the winner leads the next."""
    won = [0] * len(tricks[0])
    leader = 0
    for cards in tricks:
        leader = trick_winner(cards, trump, leader)
        won[leader] += 1
    return won
