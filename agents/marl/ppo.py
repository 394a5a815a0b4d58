"""PPO with parameters shared by all agents."""

from typing import ClassVar

from agentgym.agents.baselines.ppo import PPO
from agentgym.agents.marl.config import SharedPPOConfig
from agentgym.agents.marl.learner import SharedLearner
from agentgym.agents.marl.shared import SharedAgent

__all__ = ["SharedPPO"]


class _Learner(SharedLearner, PPO):
    catalog_name: ClassVar[str] = "shared-ppo"
    Config = SharedPPOConfig


class SharedPPO(SharedAgent):
    """Proximal Policy Optimization with parameters shared by all agents (Gupta et al. 2017).

    Arguments are those of :class:`~agentgym.agents.marl.shared.SharedAgent`.
    """

    catalog_name: ClassVar[str] = "shared-ppo"
    Config = SharedPPOConfig
    Learner = _Learner
