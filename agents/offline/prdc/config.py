"""Settings of PRDC. The card gives the sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agentgym.agents.offline.td3bc.config import TD3BCConfig
from agentgym.contracts.settings import Preset

__all__ = ["PRDCConfig"]


@dataclass
class PRDCConfig(TD3BCConfig):
    """The released settings for Hopper and Walker2d. Without neighbours PRDC is TD3+BC."""

    beta: float = 2.0  # weight of a state's distance relative to an action's
    reward_scale: float = 1.0  # the agent learns from scale * r + shift
    reward_shift: float = 0.0  # added to every reward after scaling

    # Neighbours; by default the nearest one
    kth: int = 1  # use only the k-th nearest neighbour, as the released code does
    mean_of: int = 1  # use the mean action of this many nearest neighbours

    # Speed; the results do not depend on it
    candidates: int = 32  # rows with near states kept for frequently queried rows; 0 keeps none

    presets: ClassVar[Mapping[str, Preset]] = {
        "hopper": Preset("the released settings for Hopper, the default", {}),
        "walker2d": Preset("the released settings for Walker2d, also the default", {}),
        "halfcheetah": Preset("the released settings for HalfCheetah", {"alpha": 40.0}),
        "antmaze": Preset(
            "the released settings for AntMaze",
            {"alpha": 7.5, "beta": 7.5, "reward_scale": 10_000.0, "reward_shift": -1.0},
        ),
    }
