"""Grids of text rows; a cell is a pair (row, column)."""
