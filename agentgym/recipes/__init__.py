"""Recipes for reproducible offline datasets."""
