"""Recipes: datasets that anyone can make again, by agents that play in environments."""
