"""Exact evaluation of arithmetic expressions in text form, without Python's eval."""

import re
from fractions import Fraction

__all__ = ["BadSum", "calculate"]

_TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|[-+*/()])")
DEEPEST = 20


class BadSum(ValueError):
    """Not an expression of numbers, + - * / and brackets (at most 20 deep), or a division by zero."""


def calculate(expression: str) -> str:
    """The value of an expression: a whole number, or a decimal rounded to 6 places.

    Raises:
        BadSum: the expression is invalid, or divides by zero.

    >>> calculate("(1921 - 1897) / 5")
    '4.8'
    """
    tokens = _tokens(expression)
    value = _sum(tokens, 0)
    if tokens:
        raise BadSum(f"nothing is expected at {tokens[-1]!r}")
    if value.denominator == 1:
        return str(value.numerator)
    # Rounded as a fraction, since a float would lose digits of long numbers.
    scaled = round(value * 10**6)
    sign, digits = ("-" if scaled < 0 else ""), f"{abs(scaled):07d}"
    return f"{sign}{digits[:-6]}.{digits[-6:]}".rstrip("0").rstrip(".")


def _tokens(expression: str) -> list[str]:
    """The tokens in reverse order, so that they can be popped."""
    found, place, text = [], 0, expression.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise BadSum(f"{text[place:].strip()[:1]!r} is neither a number nor one of + - * / ( )")
        found.append(match.group(1))
        place = match.end()
    return found[::-1]


def _sum(tokens: list[str], depth: int) -> Fraction:
    value = _product(tokens, depth)
    while tokens and tokens[-1] in "+-":
        if tokens.pop() == "+":
            value += _product(tokens, depth)
        else:
            value -= _product(tokens, depth)
    return value


def _product(tokens: list[str], depth: int) -> Fraction:
    value = _factor(tokens, depth)
    while tokens and tokens[-1] in "*/":
        times, factor = tokens.pop() == "*", _factor(tokens, depth)
        if not times and factor == 0:
            raise BadSum("a division by zero")
        value = value * factor if times else value / factor
    return value


def _factor(tokens: list[str], depth: int) -> Fraction:
    if not tokens or depth > DEEPEST:
        raise BadSum("a number is missing" if not tokens else "too many brackets")
    token = tokens.pop()
    if token == "-":
        return -_factor(tokens, depth + 1)
    if token == "(":
        value = _sum(tokens, depth + 1)
        if not tokens or tokens.pop() != ")":
            raise BadSum("a bracket is not closed")
        return value
    if token[0].isdigit():
        return Fraction(token)
    raise BadSum(f"a number is missing before {token!r}")
