"""Weekdays from 0, Monday, to 6, Sunday."""

from days.calendar import month_length
from days.counting import day_number, moved


def weekday(date):
    """The day of the week."""
    return (day_number(date) - 1) % 7


def is_working_day(date, holidays=()):
    """Whether a day is neither at a weekend nor a holiday."""
    return weekday(date) < 5 and date not in holidays


def working_days(start, count, holidays=()):
    """The date some working days after another."""
    date = start
    while count > 0:
        date = moved(date, 1)
        if is_working_day(date, holidays):
            count -= 1
    return date


def nth_weekday(year, month, day, number):
    """The date of the nth weekday of a month; None if it has fewer."""
    first = (year, month, 1)
    offset = (day - weekday(first)) % 7
    wanted = 1 + offset + 7 * (number - 1)
    if wanted > month_length(year, month):
        return None
    return (year, month, wanted)
