"""Household: six kinds of errands in generated homes."""
