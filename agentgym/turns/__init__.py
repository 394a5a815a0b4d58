"""Turns of an episode of text: what they cost, what has happened so far, and controls of their number."""
