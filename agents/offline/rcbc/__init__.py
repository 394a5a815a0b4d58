"""Tabular return-conditioned behaviour cloning."""
