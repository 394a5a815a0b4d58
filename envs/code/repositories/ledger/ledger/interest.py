"""Interest, rounded down to whole cents."""

from ledger.balances import balance


def simple_interest(cents, percent, years=1):
    """Interest without compounding."""
    if cents < 0:
        return 0
    return cents * percent * years // 100


def compounded(cents, percent, years):
    """The amount after some years, with interest added once a year."""
    for _ in range(years):
        cents += simple_interest(cents, percent)
    return cents


def years_to_reach(cents, goal, percent):
    """Years until an amount reaches a goal; None if it never grows."""
    years = 0
    while cents < goal:
        gain = simple_interest(cents, percent)
        if gain == 0:
            return None
        cents += gain
        years += 1
    return years


def interest_of(postings, account, day, percent):
    """Interest on an account's balance at the end of a day."""
    return simple_interest(balance(postings, account, day), percent)
