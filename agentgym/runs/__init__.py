"""Runs: training, a run's folder, checkpoints, and exact resume."""
