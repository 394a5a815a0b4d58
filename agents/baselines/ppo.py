"""Stable-Baselines3's PPO as an agent of this library."""

from typing import ClassVar

from stable_baselines3 import PPO as StableBaselinesPPO

from agentgym.agents.baselines.config import PPOConfig
from agentgym.agents.common.hyperparameters import Checked
from agentgym.agents.common.on_policy import OnPolicyAgent

__all__ = ["PPO"]


class PPO(OnPolicyAgent, StableBaselinesPPO):
    """Proximal Policy Optimization (Schulman et al. 2017, arXiv:1707.06347), with Stable-Baselines3's update.

    Takes the constructor arguments of ``stable_baselines3.PPO`` in the same order, and the fields of
    :class:`~agentgym.agents.baselines.config.PPOConfig` by keyword. gSDE, Dict and image observations are refused.
    """

    Config: ClassVar[type[Checked]] = PPOConfig
    catalog_name: ClassVar[str] = "ppo"
