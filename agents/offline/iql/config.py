"""IQL's settings. Sources are in the card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agentgym.agents.offline.config import OfflineConfig
from agentgym.contracts.settings import Preset

__all__ = ["IQLConfig"]


@dataclass
class IQLConfig(OfflineConfig):
    """The authors' settings on MuJoCo locomotion."""

    # Values
    expectile: float = 0.7  # tau of the paper: 0.5 is the data's mean, towards 1 the best action in the data
    gamma: float = 0.99  # discount a step
    tau: float = 0.005  # share of Q that moves into its target at each update

    # Policy
    beta: float = 3.0  # inverse temperature of exp(beta (Q - V)); 0 is behaviour cloning
    max_weight: float = 100.0  # where that weight is cut
    cosine: bool = True  # the policy's learning rate falls to 0 by half a cosine
    schedule_steps: int = 0  # gradient steps that this takes; 0: those that learn() is asked for

    # Data
    return_range: float = 1000.0  # rewards are scaled so that the data's returns span this; 0: they are not
    reward_scale: float = 1.0  # after that, the agent learns from scale * r + shift
    reward_shift: float = 0.0
    normalize_observations: bool = False  # by the data's mean and standard deviation

    # Networks
    layers: tuple[int, ...] = (256, 256)  # of Q, V and the policy

    presets: ClassVar[Mapping[str, Preset]] = {
        "antmaze": Preset(
            "the authors' for AntMaze, whose rewards are 0 and 1 (antmaze_config.py)",
            {"expectile": 0.9, "beta": 10.0, "return_range": 0.0, "reward_shift": -1.0},
        ),
    }
