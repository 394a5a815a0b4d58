"""Loans are dictionaries: book -> (member, day due)."""


def may_borrow(loans, member, today, most=3):
    """Whether a member has room for another book and no book overdue."""
    mine = [due for name, due in loans.values() if name == member]
    return len(mine) < most and all(due >= today for due in mine)


def borrow(loans, book, member, today, days=14):
    """Loans after a member has taken a book."""
    if book in loans:
        raise ValueError("the book is out")
    if not may_borrow(loans, member, today):
        raise PermissionError("no further book")
    after = dict(loans)
    after[book] = (member, today + days)
    return after


def give_back(loans, book):
    """Loans without a book."""
    if book not in loans:
        raise KeyError("the book is here")
    return {other: loan for other, loan in loans.items() if other != book}


def overdue(loans, today):
    """Books that should be back, sorted by the day they were due, then by name."""
    late = [(due, book) for book, (_, due) in loans.items() if due < today]
    return [book for _, book in sorted(late)]
