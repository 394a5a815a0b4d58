"""Scores of games."""
