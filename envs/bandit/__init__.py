"""Bandits: environments with one decision per episode. README.md is the card."""
