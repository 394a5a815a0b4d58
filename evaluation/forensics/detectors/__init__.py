"""Detectors of agents that fail, one file each."""
