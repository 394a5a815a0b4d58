"""Soft Actor-Critic; README.md beside this file is its card."""
