"""An entropy bonus."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin

__all__ = ["EntropyBonus"]


@dataclass
class EntropyBonus(Plugin):
    """L <- L - weight * mean entropy of the decisions (nats).

    Attributes:
        weight: of the bonus; a negative one penalises entropy.
    """

    ABOUT: ClassVar = About("L - weight H", "standard")

    weight: float = 0.005

    def loss(self, batch: Batch, logp: Tensor, entropy: Tensor, iteration: int) -> Tensor:
        """The bonus as a loss."""
        return -self.weight * (entropy * batch.mask).sum() / batch.mask.sum().clamp(min=1)
