"""Bookings of rooms."""

from intervals.basic import length, overlap
from intervals.sets import gaps


def is_free(bookings, wanted):
    """Whether no booking overlaps the wanted time."""
    for booking in bookings:
        if overlap(booking, wanted) is not None:
            return False
    return True


def rooms_needed(bookings):
    """The largest number of bookings at the same time."""
    events = [(start, 1) for start, _ in bookings] + [(end, -1) for _, end in bookings]
    busy = 0
    most = 0
    for _, change in sorted(events):
        busy += change
        most = max(most, busy)
    return most


def first_slot(bookings, duration, start=0, end=24):
    """The first free time of this duration, or None."""
    for gap in gaps(bookings, start, end):
        if length(gap) >= duration:
            return (gap[0], gap[0] + duration)
    return None


def busiest(rooms):
    """The name of the room that is booked longest; the first name among equals; None without rooms."""
    best = None
    most = -1
    for name in sorted(rooms):
        hours = sum(length(booking) for booking in rooms[name])
        if hours > most:
            best = name
            most = hours
    return best
