"""Arithmetic formulas as nested tuples (operator, left, right)."""
