"""Division by (x - a)."""

from polynomials.analysis import value_at
from polynomials.arithmetic import trimmed


def divided(terms, root):
    """Quotient and remainder of a division by (x - root)."""
    carry = 0
    quotient = []
    for value in reversed(terms):
        carry = carry * root + value
        quotient.append(carry)
    if not quotient:
        return [], 0
    rest = quotient.pop()
    return quotient[::-1], rest


def multiplicity(terms, root):
    """How often (x - root) divides a polynomial."""
    terms = trimmed(terms)
    count = 0
    while terms and value_at(terms, root) == 0:
        terms, _ = divided(terms, root)
        count += 1
    return count


def text_of(terms, name="x"):
    """A polynomial as text, the highest power first."""
    parts = []
    for power in range(len(terms) - 1, -1, -1):
        value = terms[power]
        if value == 0:
            continue
        if power == 0:
            parts.append(str(value))
        elif power == 1:
            parts.append(str(value) + name)
        else:
            parts.append(str(value) + name + str(power))
    return " + ".join(parts) or "0"
