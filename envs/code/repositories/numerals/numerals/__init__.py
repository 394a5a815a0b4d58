"""Numbers in writing."""
