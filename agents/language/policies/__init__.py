"""Policies of language agents: tiny and pretrained models, endpoints, and what they read and write."""
