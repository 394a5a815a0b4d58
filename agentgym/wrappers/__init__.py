"""Wrappers: replay of episodes, preprocessing as it was in training, time limits."""
