"""Offline datasets: arrays in memory, storage in Minari's format, recipes, and checks."""
