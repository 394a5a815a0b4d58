"""Dichotomy of Control."""
