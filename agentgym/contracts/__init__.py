"""Interfaces shared by all parts: agents, environments, checks for finite numbers and checked settings."""
