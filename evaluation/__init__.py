"""Evaluation: what judges."""
