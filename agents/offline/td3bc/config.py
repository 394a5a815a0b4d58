"""TD3+BC's settings. Sources are in the card."""

from dataclasses import dataclass

from agentgym.agents.offline.config import OfflineConfig

__all__ = ["TD3BCConfig"]


@dataclass
class TD3BCConfig(OfflineConfig):
    """Fujimoto and Gu 2021, table 3: one setting for all tasks."""

    # Policy
    alpha: float = 2.5  # weight of the value against the cloning term, in units of the mean |Q|
    policy_delay: int = 2  # critic updates to one of the actor and of the targets

    # Value
    gamma: float = 0.99  # discount a step
    tau: float = 0.005  # share of the networks that moves into their targets at each update of the actor
    target_noise: float = 0.2  # deviation of the noise on the target's actions, which lie in [-1, 1]
    noise_clip: float = 0.5  # bound of that noise

    # Networks
    layers: tuple[int, ...] = (256, 256)
