"""Check digits and fractions."""

from numerals.bases import digit_sum, digits


def luhn(number):
    """Whether a number passes Luhn's test: from the right, every second digit is doubled."""
    total = 0
    for place, value in enumerate(reversed(digits(number))):
        if place % 2 == 1:
            total += digit_sum(2 * value)
        else:
            total += value
    return total % 10 == 0


def isbn_check(values):
    """The check digit of the first nine digits of an ISBN; ten means X."""
    total = sum((10 - place) * value for place, value in enumerate(values))
    return -total % 11


def divisor(first, second):
    """The greatest common divisor."""
    while second != 0:
        first, second = second, first % second
    return abs(first)


def reduced(top, bottom):
    """A fraction in lowest terms; the sign is at the top."""
    if bottom == 0:
        raise ZeroDivisionError("no fraction")
    shared = divisor(top, bottom)
    if bottom < 0:
        shared = -shared
    return (top // shared, bottom // shared)
