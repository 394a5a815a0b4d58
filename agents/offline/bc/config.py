"""Behaviour cloning's settings."""

from dataclasses import dataclass

from agentgym.agents.common.stack.choice import UpdateBy
from agentgym.agents.offline.config import OfflineConfig

__all__ = ["BCConfig", "PercentBCConfig"]


@dataclass
class BCConfig(OfflineConfig):
    """Behaviour cloning with TD3+BC's networks and optimiser."""

    top: float = 1.0  # share of the episodes, those with the highest returns, to clone
    layers: tuple[int, ...] = (256, 256)  # hidden units of the policy, layer by layer

    # Speed on a CPU
    update_by: UpdateBy = "auto"  # stack: passes written out; autograd; auto: the first where it can


@dataclass
class PercentBCConfig(BCConfig):
    """%BC of Chen et al. 2021 (Decision Transformer), section 5.1: the best tenth of the episodes."""

    top: float = 0.1  # share of the episodes, those with the highest returns, to clone
