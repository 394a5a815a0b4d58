"""Waiting lists: book -> members, who came first at the start."""

from library.loans import may_borrow


def join(queues, book, member):
    """Waiting lists with a member at the end of one; nobody waits twice."""
    queue = list(queues.get(book, []))
    if member not in queue:
        queue.append(member)
    return {**queues, book: queue}


def next_member(queues, book, loans, today):
    """The first who waits for a book and may borrow it, or None."""
    for member in queues.get(book, []):
        if may_borrow(loans, member, today):
            return member
    return None


def position(queues, book, member):
    """The place of a member in a waiting list, from 1; 0 if not there."""
    queue = queues.get(book, [])
    if member not in queue:
        return 0
    return queue.index(member) + 1


def most_wanted(queues, count=1):
    """Books with the longest waiting lists."""
    wanted = [book for book in queues if queues[book]]
    return sorted(wanted, key=lambda book: (-len(queues[book]), book))[:count]


def expected_days(queues, loans, book, today, member, days=14):
    """Days until it is a member's turn, if everyone before keeps the book as long as allowed."""
    place = position(queues, book, member)
    if place == 0:
        return None
    back = max(0, loans[book][1] - today) if book in loans else 0
    return back + (place - 1) * days
