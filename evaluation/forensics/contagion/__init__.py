"""Stage 2: who dragged whom along, read from the derivatives of the team's critic."""
