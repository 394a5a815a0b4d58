"""Gymnasium's MuJoCo tasks with uncertain parameters: see README.md."""
