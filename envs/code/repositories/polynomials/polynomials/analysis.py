"""Values, slopes and roots."""

from polynomials.arithmetic import trimmed


def value_at(terms, x):
    """The value at x, by Horner's rule."""
    total = 0
    for value in reversed(terms):
        total = total * x + value
    return total


def degree(terms):
    """The highest power; -1 for zero."""
    return len(trimmed(terms)) - 1


def slope(terms):
    """The derivative."""
    return [power * value for power, value in enumerate(terms)][1:]


def whole_roots(terms, low=-10, high=10):
    """All whole numbers from low to high at which a polynomial is zero."""
    return [x for x in range(low, high + 1) if value_at(terms, x) == 0]


def sign_changes(terms):
    """How often the sign changes from coefficient to coefficient, without zeros."""
    count = 0
    last = 0
    for value in terms:
        if value == 0:
            continue
        if last * value < 0:
            count += 1
        last = value
    return count
