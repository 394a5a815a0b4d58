"""Worlds of text for language agents: see README.md."""
