"""Years and months."""

LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def is_leap(year):
    """Whether a year has 366 days."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_length(year, month):
    """Days of a month."""
    if month < 1 or month > 12:
        raise ValueError("no month")
    if month == 2 and is_leap(year):
        return 29
    return LENGTHS[month - 1]


def is_date(year, month, day):
    """Whether there is such a day."""
    return 1 <= month <= 12 and 1 <= day <= month_length(year, month)


def day_of_year(date):
    """The number of a day in its year, from 1."""
    year, month, day = date
    return sum(month_length(year, before) for before in range(1, month)) + day
