"""Digits in any base."""


def digits(number, base=10):
    """The digits of a number, the highest first."""
    if base < 2:
        raise ValueError("a base is at least two")
    if number == 0:
        return [0]
    found = []
    while number > 0:
        found.append(number % base)
        number //= base
    return found[::-1]


def number_of(values, base=10):
    """The number that digits stand for."""
    total = 0
    for value in values:
        if value >= base:
            raise ValueError("no digit")
        total = total * base + value
    return total


def digit_sum(number, base=10):
    """The sum of the digits."""
    return sum(digits(number, base))


def is_palindrome(number, base=10):
    """Whether a number reads the same from both ends."""
    values = digits(number, base)
    return values == values[::-1]
