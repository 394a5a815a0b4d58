"""Half-open intervals of whole numbers, pairs (start, end)."""
