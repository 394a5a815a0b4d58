"""Perturbations of text environments: of observations, commands and tools."""
