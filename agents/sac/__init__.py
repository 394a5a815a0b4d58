"""Soft Actor-Critic. README.md is the card."""
