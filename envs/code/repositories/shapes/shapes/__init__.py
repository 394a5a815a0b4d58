"""Plane geometry; points are pairs of whole numbers."""
