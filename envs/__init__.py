"""Environments: robust MuJoCo tasks, convection, text worlds, fluids, bandits, and perturbations of any environment."""
