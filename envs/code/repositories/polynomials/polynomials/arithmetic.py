"""Sums and products."""


def trimmed(terms):
    """The same polynomial without zeros at the end."""
    end = len(terms)
    while end > 0 and terms[end - 1] == 0:
        end -= 1
    return terms[:end]


def added(first, second, sign=1):
    """The sum; with sign -1 the difference."""
    size = max(len(first), len(second))
    total = [0] * size
    for power, value in enumerate(first):
        total[power] += value
    for power, value in enumerate(second):
        total[power] += sign * value
    return trimmed(total)


def multiplied(first, second):
    """The product."""
    if not first or not second:
        return []
    total = [0] * (len(first) + len(second) - 1)
    for power, value in enumerate(first):
        for other, factor in enumerate(second):
            total[power + other] += value * factor
    return trimmed(total)


def power_of(terms, exponent):
    """A polynomial multiplied with itself."""
    if exponent < 0:
        raise ValueError("a negative exponent")
    result = [1]
    for _ in range(exponent):
        result = multiplied(result, terms)
    return result
