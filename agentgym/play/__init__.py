"""Playing episodes: one player, and the environments that it steps."""
