"""Finite environments whose kernel is known, and may be nature's worst. The card is README.md beside this file."""
