"""A lending library; days are whole numbers."""
