"""Days between dates."""

from days.calendar import day_of_year, is_leap, month_length


def day_number(date):
    """Days since the first of January of year 1, from 1."""
    before = date[0] - 1
    return 365 * before + before // 4 - before // 100 + before // 400 + day_of_year(date)


def days_between(first, second):
    """Days from the first to the second date."""
    return day_number(second) - day_number(first)


def moved(date, days):
    """The date some days later."""
    year, month, day = date
    day += days
    while day > month_length(year, month):
        day -= month_length(year, month)
        month += 1
        if month > 12:
            month = 1
            year += 1
    return (year, month, day)


def age(born, today):
    """Full years; who is born on the 29th of February has a birthday on the 1st of March in other years."""
    years = today[0] - born[0]
    if today[1:] < born[1:]:
        years -= 1
    return years


def leap_days(first, last):
    """The number of leap years from one year to another, with both."""
    return sum(1 for year in range(first, last + 1) if is_leap(year))
