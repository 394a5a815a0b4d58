"""Stable-Baselines3's PPO as an agent of this library."""

from typing import ClassVar

from stable_baselines3 import PPO as StableBaselinesPPO

from agentgym.agents.baselines.config import PPOConfig
from agentgym.agents.common.on_policy import OnPolicyAgent

__all__ = ["PPO"]


class PPO(OnPolicyAgent, StableBaselinesPPO):
    """Proximal Policy Optimization (Schulman et al. 2017, arXiv:1707.06347): Stable-Baselines3's own update.

    Takes the constructor arguments of ``stable_baselines3.PPO`` in the same order, and those of
    :class:`~agentgym.agents.common.on_policy.OnPolicyAgent`. gSDE, Dict and image observations are refused.
    """

    Config = PPOConfig
    catalog_name: ClassVar[str] = "ppo"
    saved_arguments: ClassVar[tuple[str, ...]] = (
        "learning_rate", "n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "clip_range", "clip_range_vf",
        "normalize_advantage", "ent_coef", "vf_coef", "max_grad_norm", "target_kl", "normalize_rewards",
        "bootstrap_time_limits", "policy_kwargs", "seed",
    )  # fmt: skip
