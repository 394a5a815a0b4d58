"""Tokens as trees: sums of products of factors."""

from formulas.tokens import tokens


def parse(text):
    """The tree of a formula."""
    parts = tokens(text)
    tree, at = parse_sum(parts, 0)
    if at != len(parts):
        raise ValueError("too much")
    return tree


def parse_sum(parts, at):
    """A sum and the position after it; equal operators bind to the left."""
    tree, at = parse_product(parts, at)
    while at < len(parts) and parts[at] in ("+", "-"):
        sign = parts[at]
        right, at = parse_product(parts, at + 1)
        tree = (sign, tree, right)
    return tree, at


def parse_product(parts, at):
    """A product and the position after it."""
    tree, at = parse_factor(parts, at)
    while at < len(parts) and parts[at] in ("*", "/"):
        sign = parts[at]
        right, at = parse_factor(parts, at + 1)
        tree = (sign, tree, right)
    return tree, at


def parse_factor(parts, at):
    """A number, a name, something negative or something in brackets."""
    if at >= len(parts):
        raise ValueError("too short")
    if parts[at] == "-":
        tree, at = parse_factor(parts, at + 1)
        return ("-", 0, tree), at
    if parts[at] == "(":
        tree, at = parse_sum(parts, at + 1)
        if at >= len(parts) or parts[at] != ")":
            raise ValueError("a bracket is open")
        return tree, at + 1
    return parts[at], at + 1
