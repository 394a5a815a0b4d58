"""Offline datasets: arrays in memory, Minari's format on disk, recipes that make them, and a linter."""
