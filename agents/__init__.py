"""Agents: what learns."""
