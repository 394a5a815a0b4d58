"""TextWorld's generated games and challenges as text worlds."""
