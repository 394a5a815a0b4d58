"""Training runs: the run folder, training, checkpoints, and exact resume."""
