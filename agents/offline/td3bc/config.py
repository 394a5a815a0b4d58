"""Settings of TD3+BC. The card gives the sources."""

from dataclasses import dataclass

from agentgym.agents.common.stack.choice import UpdateBy
from agentgym.agents.offline.config import OfflineConfig

__all__ = ["TD3BCConfig"]


@dataclass
class TD3BCConfig(OfflineConfig):
    """Fujimoto and Gu 2021, table 3: the same settings for all tasks."""

    # Policy
    alpha: float = 2.5  # weight of the value relative to the cloning term, in units of the mean |Q|
    policy_delay: int = 2  # critic updates per update of actor and targets

    # Value
    gamma: float = 0.99  # discount per step
    tau: float = 0.005  # step of the targets towards the networks at each update of the actor
    target_noise: float = 0.2  # standard deviation of the noise on the target's actions, which lie in [-1, 1]
    noise_clip: float = 0.5  # bound of that noise

    # Networks
    layers: tuple[int, ...] = (256, 256)  # hidden units of actor and critics, layer by layer

    # Speed on a CPU
    update_by: UpdateBy = "auto"  # stack: passes written out; autograd; auto: the first where it can
