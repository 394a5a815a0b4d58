"""Bandits: one decision an episode, and nothing to see. The card is README.md beside this file."""
