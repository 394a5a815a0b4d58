"""Natively batched environments: base class, infos, resets, actions, and views of a batch of one."""

from agentgym.vector.native import NativeVectorEnv
from agentgym.vector.step import Step

__all__ = ["NativeVectorEnv", "Step"]
