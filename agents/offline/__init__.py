"""Agents that learn from a fixed dataset (offline reinforcement learning)."""
