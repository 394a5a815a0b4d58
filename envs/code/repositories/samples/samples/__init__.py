"""Statistics of lists of whole numbers."""
