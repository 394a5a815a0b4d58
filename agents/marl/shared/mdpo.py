"""On-policy MDPO with parameters shared by all agents."""

from typing import Any, ClassVar

from agentgym.agents.marl.shared.agent import SharedAgent
from agentgym.agents.marl.shared.config import SharedMDPOConfig
from agentgym.agents.marl.shared.learner import SharedLearner
from agentgym.agents.marl.shared.symmetry import MirrorInvariantMirrorDescent
from agentgym.agents.mdpo.on_policy import OnPolicyMDPO

__all__ = ["SharedMDPO"]


class _Learner(SharedLearner, OnPolicyMDPO):
    catalog_name: ClassVar[str] = "shared-mdpo"
    Config = SharedMDPOConfig
    policy_aliases: ClassVar[dict[str, Any]] = {"MlpPolicy": MirrorInvariantMirrorDescent}

    policy: MirrorInvariantMirrorDescent


class SharedMDPO(SharedAgent):
    """On-policy Mirror Descent Policy Optimization with parameters shared by all agents.

    Arguments are those of :class:`~agentgym.agents.marl.shared.agent.SharedAgent`.
    """

    catalog_name: ClassVar[str] = "shared-mdpo"
    Config = SharedMDPOConfig
    Learner = _Learner
