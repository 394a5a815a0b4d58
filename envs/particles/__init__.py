"""Particle worlds for teams of agents: Simple Spread, Skirmish, a planted game, mpe2's own. README.md is the card."""
