"""One policy for all agents of a joint environment."""
