"""A small search engine."""
