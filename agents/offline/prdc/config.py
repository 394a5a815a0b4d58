"""PRDC's settings. Sources are in the card."""

from dataclasses import dataclass
from typing import Any, Literal

from agentgym.agents.offline.td3bc.config import TD3BCConfig
from agentgym.errors import UnknownId

__all__ = ["PRESETS", "PRDCConfig"]

# The commands of the released code: one setting for all datasets of a kind of task.
PRESETS: dict[str, dict[str, float]] = {
    "hopper": {"alpha": 2.5, "beta": 2.0, "reward_scale": 1.0, "reward_shift": 0.0},
    "walker2d": {"alpha": 2.5, "beta": 2.0, "reward_scale": 1.0, "reward_shift": 0.0},
    "halfcheetah": {"alpha": 40.0, "beta": 2.0, "reward_scale": 1.0, "reward_shift": 0.0},
    "antmaze": {"alpha": 7.5, "beta": 7.5, "reward_scale": 10_000.0, "reward_shift": -1.0},
}


@dataclass
class PRDCConfig(TD3BCConfig):
    """TD3+BC's settings, and how neighbours are found; what is None is the preset's."""

    preset: Literal["hopper", "walker2d", "halfcheetah", "antmaze"] = "hopper"
    alpha: float | None = None  # type: ignore[assignment]  # weight of the value, in units of the mean |Q|
    beta: float | None = None  # weight of a state's distance against an action's
    reward_scale: float | None = None  # learns from scale * r + shift
    reward_shift: float | None = None

    # Neighbours; by default the nearest one
    kth: int = 1  # take the kth-nearest alone, which is what the released code does with its k
    mean_of: int = 1  # take the mean action of so many nearest

    # Speed; neither changes an answer
    candidates: int = 32  # rows with near states that are kept for rows asked for often; 0 keeps none

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UnknownId("preset of prdc", str(self.preset), PRESETS)
        values: dict[str, Any] = PRESETS[self.preset]
        for name, value in values.items():
            if getattr(self, name) is None:
                setattr(self, name, value)
