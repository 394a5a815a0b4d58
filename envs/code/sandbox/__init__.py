"""A sandbox for untrusted commands that proves its guarantees; the card of ``agentgym.envs.code`` describes it."""

from agentgym.envs.code.sandbox.launch import Interpreter, interpreter_of
from agentgym.envs.code.sandbox.limits import Limits
from agentgym.envs.code.sandbox.probe import PROPERTIES, Report, probe
from agentgym.envs.code.sandbox.session import Result, SandboxUnavailable, Session, level_of

__all__ = [
    "PROPERTIES",
    "Interpreter",
    "Limits",
    "Report",
    "Result",
    "SandboxUnavailable",
    "Session",
    "interpreter_of",
    "level_of",
    "probe",
]
