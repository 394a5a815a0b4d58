"""Postings are tuples (day, account, cents)."""


def transfer(day, source, target, cents):
    """The two postings that move money from one account to another."""
    if cents <= 0:
        raise ValueError("an amount must be positive")
    return [(day, source, -cents), (day, target, cents)]


def is_balanced(postings):
    """Whether all postings add up to zero."""
    total = 0
    for _, _, cents in postings:
        total += cents
    return total == 0


def split_evenly(cents, people):
    """Shares that add up to the amount; the first people pay the odd cents."""
    if people < 1:
        raise ValueError("there is nobody to pay")
    share = cents // people
    odd = cents % people
    return [share + 1 if number < odd else share for number in range(people)]
