"""Implicit Q-Learning."""
