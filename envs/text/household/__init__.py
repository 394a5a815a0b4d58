"""Household: six kinds of tasks in generated homes."""
