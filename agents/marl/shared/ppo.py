"""PPO with parameters shared by all agents."""

from typing import ClassVar

from agentgym.agents.baselines.ppo import PPO
from agentgym.agents.marl.shared.agent import SharedAgent
from agentgym.agents.marl.shared.config import SharedPPOConfig
from agentgym.agents.marl.shared.learner import SharedLearner

__all__ = ["SharedPPO"]


class _Learner(SharedLearner, PPO):
    catalog_name: ClassVar[str] = "shared-ppo"
    Config = SharedPPOConfig


class SharedPPO(SharedAgent):
    """Proximal Policy Optimization with parameters shared by all agents (Gupta et al. 2017).

    Arguments are those of :class:`~agentgym.agents.marl.shared.agent.SharedAgent`.
    """

    catalog_name: ClassVar[str] = "shared-ppo"
    Config = SharedPPOConfig
    Learner = _Learner
