"""Equal multilayer perceptrons with their passes and optimiser written out by hand, for CPUs."""
