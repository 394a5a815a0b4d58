"""Codes for texts and bits."""
