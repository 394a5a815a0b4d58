"""Environments: what acts back."""
