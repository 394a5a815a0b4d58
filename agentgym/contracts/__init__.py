"""What the parts promise each other: agents, environments, finite numbers, checked settings."""
