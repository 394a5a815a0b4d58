"""Stable-Baselines3's DQN as an agent of this library."""

from typing import Any, ClassVar

from stable_baselines3 import DQN as StableBaselinesDQN
from stable_baselines3.dqn.policies import CnnPolicy, MlpPolicy

from agentgym.agents.baselines.config import DQNConfig
from agentgym.agents.baselines.epsilon_greedy import EpsilonGreedy
from agentgym.agents.common.hyperparameters import Checked

__all__ = ["DQN"]


class DQN(EpsilonGreedy, StableBaselinesDQN):
    """Deep Q-Network (Mnih et al. 2015, doi:10.1038/nature14236), with Stable-Baselines3's update.

    Takes the constructor arguments of ``stable_baselines3.DQN`` in the same order, and the fields of
    :class:`~agentgym.agents.baselines.config.DQNConfig` by keyword. Images need ``"CnnPolicy"``. Dict observations are
    refused.
    """

    Config: ClassVar[type[Checked]] = DQNConfig
    catalog_name: ClassVar[str] = "dqn"
    elsewhere: ClassVar[str] = "stable_baselines3.DQN"
    policy_aliases: ClassVar[dict[str, Any]] = {"MlpPolicy": MlpPolicy, "CnnPolicy": CnnPolicy}
