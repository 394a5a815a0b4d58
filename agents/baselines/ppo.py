"""Stable-Baselines3's PPO as an agent of this library."""

from typing import Any, ClassVar

from stable_baselines3 import PPO as StableBaselinesPPO

from agentgym.agents.baselines.config import PPOConfig
from agentgym.agents.common.actor_critic import ActorCriticCnnPolicy, ActorCriticMlpPolicy
from agentgym.agents.common.hyperparameters import Checked
from agentgym.agents.common.on_policy import OnPolicyAgent
from agentgym.contracts.agent import Traits

__all__ = ["PPO"]


class PPO(OnPolicyAgent, StableBaselinesPPO):
    """Proximal Policy Optimization (Schulman et al. 2017, arXiv:1707.06347), with Stable-Baselines3's update.

    Takes the constructor arguments of ``stable_baselines3.PPO`` in the same order, and the fields of
    :class:`~agentgym.agents.baselines.config.PPOConfig` by keyword. Images need ``"CnnPolicy"``. gSDE and Dict
    observations are refused.
    """

    traits: ClassVar[Traits] = Traits(sees_images=True)
    policy_aliases: ClassVar[dict[str, Any]] = {"MlpPolicy": ActorCriticMlpPolicy, "CnnPolicy": ActorCriticCnnPolicy}

    Config: ClassVar[type[Checked]] = PPOConfig
    catalog_name: ClassVar[str] = "ppo"
