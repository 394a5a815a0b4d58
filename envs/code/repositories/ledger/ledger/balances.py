"""Balances of accounts."""


def balance(postings, account, day=None):
    """The balance of an account at the end of a day; by default of all days."""
    total = 0
    for when, name, cents in postings:
        if name != account:
            continue
        if day is not None and when > day:
            continue
        total += cents
    return total


def lowest_balance(postings, account):
    """The lowest balance that an account ever had, in order of days; 0 at the start."""
    lowest = 0
    total = 0
    for _, name, cents in sorted(postings):
        if name == account:
            total += cents
            lowest = min(lowest, total)
    return lowest


def overdrawn(postings):
    """Names of the accounts with a balance below zero, sorted."""
    names = {name for _, name, _ in postings}
    return sorted(name for name in names if balance(postings, name) < 0)
