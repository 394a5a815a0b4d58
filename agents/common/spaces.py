"""Moved to :mod:`agentgym.spaces`."""

from agentgym.spaces import check_same_spaces, space_from_json, space_to_json

__all__ = ["check_same_spaces", "space_from_json", "space_to_json"]
