"""Polynomials as lists of whole coefficients, the constant first; [] is zero."""
