"""Agents that learn against an adversary who chooses the environment's parameters. README.md is the card."""
