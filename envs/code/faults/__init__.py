"""Faults: edits of programs, runs of tests in this process, and the tables made of them."""
