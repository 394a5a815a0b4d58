"""PRDC's settings. Sources are in the card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agentgym.agents.offline.td3bc.config import TD3BCConfig
from agentgym.contracts.settings import Preset

__all__ = ["PRDCConfig"]


@dataclass
class PRDCConfig(TD3BCConfig):
    """The released command for Hopper and Walker2d. Without neighbours it is TD3+BC."""

    beta: float = 2.0  # weight of a state's distance against an action's
    reward_scale: float = 1.0  # learns from scale * r + shift
    reward_shift: float = 0.0

    # Neighbours; by default the nearest one
    kth: int = 1  # take the kth-nearest alone, which is what the released code does with its k
    mean_of: int = 1  # take the mean action of so many nearest

    # Speed; neither changes an answer
    candidates: int = 32  # rows with near states that are kept for rows asked for often; 0 keeps none

    presets: ClassVar[Mapping[str, Preset]] = {
        "hopper": Preset("the released command for Hopper, the default", {}),
        "walker2d": Preset("the released command for Walker2d, the default too", {}),
        "halfcheetah": Preset("the released command for HalfCheetah", {"alpha": 40.0}),
        "antmaze": Preset(
            "the released command for AntMaze",
            {"alpha": 7.5, "beta": 7.5, "reward_scale": 10_000.0, "reward_shift": -1.0},
        ),
    }
