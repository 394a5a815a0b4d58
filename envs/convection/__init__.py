"""Rayleigh-Benard convection under control: see README.md."""
