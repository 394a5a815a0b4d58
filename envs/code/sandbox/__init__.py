"""A sandbox for untrusted commands that proves its guarantees; the card of ``agentgym.envs.code`` describes it."""

from agentgym.envs.code.sandbox.limits import Limits
from agentgym.envs.code.sandbox.probe import PROPERTIES, Report, probe
from agentgym.envs.code.sandbox.session import Result, SandboxUnavailable, Session, level_of

__all__ = ["PROPERTIES", "Limits", "Report", "Result", "SandboxUnavailable", "Session", "level_of", "probe"]
