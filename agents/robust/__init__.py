"""Robust Markov decision processes: exact solvers for finite ones. The card is README.md beside this file."""
