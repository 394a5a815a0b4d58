"""Suites: lists of conditions by name. The card is README.md beside this file."""
