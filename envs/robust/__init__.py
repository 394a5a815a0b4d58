"""Gymnasium's MuJoCo tasks with uncertain parameters. README.md is the card."""
