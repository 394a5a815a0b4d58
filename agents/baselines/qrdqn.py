"""QR-DQN of sb3-contrib as an agent of this library."""

from typing import Any, ClassVar

from agentgym.agents.baselines.config import QRDQNConfig
from agentgym.agents.baselines.epsilon_greedy import EpsilonGreedy
from agentgym.agents.common.hyperparameters import Checked
from agentgym.errors import MissingExtra

try:
    from sb3_contrib import QRDQN as ContribQRDQN
    from sb3_contrib.qrdqn.policies import CnnPolicy, MlpPolicy
except ImportError as error:
    raise MissingExtra("sb3-contrib", "contrib") from error

__all__ = ["QRDQN"]


class QRDQN(EpsilonGreedy, ContribQRDQN):
    """Quantile Regression DQN (Dabney et al. 2018, arXiv:1710.10044), with sb3-contrib's update.

    Takes the constructor arguments of ``sb3_contrib.QRDQN`` in the same order, and the fields of
    :class:`~agentgym.agents.baselines.config.QRDQNConfig` by keyword. Images need ``"CnnPolicy"``. Dict observations
    are refused.

    Raises:
        MissingExtra: sb3-contrib is not installed (raised on import of this module).
    """

    Config: ClassVar[type[Checked]] = QRDQNConfig
    catalog_name: ClassVar[str] = "qrdqn"
    elsewhere: ClassVar[str] = "sb3_contrib.QRDQN"
    policy_aliases: ClassVar[dict[str, Any]] = {"MlpPolicy": MlpPolicy, "CnnPolicy": CnnPolicy}
