"""Suites: lists of conditions by name. README.md is the card."""
