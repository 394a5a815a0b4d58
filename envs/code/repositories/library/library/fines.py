"""Fines in cents."""


def fine(due, today, per_day=20, most=500):
    """The fine of a book: nothing for the first two days."""
    late = today - due
    if late <= 2:
        return 0
    return min(late * per_day, most)


def fines_of(loans, member, today):
    """All fines of a member."""
    total = 0
    for name, due in loans.values():
        if name == member:
            total += fine(due, today)
    return total


def renewed(loans, book, today, waiting=(), days=14):
    """Loans after a book was renewed; not if others wait or a fine is due."""
    member, due = loans[book]
    if book in waiting or fine(due, today) > 0:
        return loans
    return {**loans, book: (member, max(due, today) + days)}


def reminders(loans, today, ahead=2):
    """Member -> books due within some days, both sorted."""
    found = {}
    for book in sorted(loans):
        member, due = loans[book]
        if today <= due <= today + ahead:
            found.setdefault(member, []).append(book)
    return dict(sorted(found.items()))
