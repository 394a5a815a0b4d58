"""Moved to :mod:`agentgym.multi_agent`."""

from agentgym.multi_agent.joint import JointEnv

__all__ = ["JointEnv"]
