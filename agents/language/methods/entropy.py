"""The plain entropy bonus."""

from dataclasses import dataclass

from torch import Tensor

from agentgym.agents.language.loop.plugins import Plugin
from agentgym.agents.language.loop.trajectory import Batch

__all__ = ["EntropyBonus"]


@dataclass
class EntropyBonus(Plugin):
    """L <- L - weight * mean entropy of the decisions (nats).

    Attributes:
        weight: its coefficient.
    """

    weight: float = 0.005

    def loss(self, batch: Batch, logp: Tensor, entropy: Tensor, iteration: int) -> Tensor:
        """The bonus as a loss."""
        return -self.weight * (entropy * batch.mask).sum() / batch.mask.sum().clamp(min=1)
