"""Coding agents: one loop of model calls, and controls of how many there may be. README.md is the card."""
