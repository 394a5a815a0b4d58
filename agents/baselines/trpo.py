"""TRPO of sb3-contrib as an agent of this library."""

from typing import ClassVar

from agentgym.agents.baselines.config import TRPOConfig
from agentgym.agents.common.on_policy import OnPolicyAgent
from agentgym.errors import MissingExtra

try:
    from sb3_contrib import TRPO as ContribTRPO
except ImportError as error:
    raise MissingExtra("sb3-contrib", "contrib") from error

__all__ = ["TRPO"]


class TRPO(OnPolicyAgent, ContribTRPO):
    """Trust Region Policy Optimization (Schulman et al. 2015, arXiv:1502.05477), with sb3-contrib's update.

    Takes the constructor arguments of ``sb3_contrib.TRPO`` in the same order, and the fields of
    :class:`~agentgym.agents.baselines.config.TRPOConfig` by keyword. gSDE, Dict and image observations are refused.

    Raises:
        MissingExtra: sb3-contrib is not installed (raised on import of this module).
    """

    Config = TRPOConfig
    catalog_name: ClassVar[str] = "trpo"
    elsewhere: ClassVar[str] = "sb3_contrib.TRPO"
