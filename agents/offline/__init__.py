"""Agents that learn from a dataset alone."""
