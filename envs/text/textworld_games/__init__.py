"""TextWorld's games as text worlds."""
