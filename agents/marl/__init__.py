"""Agents for teams: shared policies, and actors with centralised critics. README.md says which to choose."""
