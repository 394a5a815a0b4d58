"""LLDS: a penalty when good responses become less likely."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin
from agentgym.contracts.settings import Range

__all__ = ["LLDS"]


@dataclass
class LLDS(Plugin):
    """Likelihood-displacement suppression (LLDS, arXiv 2512.04220): L <- L + weight * max(0, log p_old - log p).

    The penalty is on the decisions with non-negative advantage in responses whose likelihood as a whole has fallen. We
    take the mean over the minibatch's decisions; according to re-implementations the paper takes a sum.

    Attributes:
        weight: the paper's lambda.
        response: what one response is: the whole "episode", or each "turn".
    """

    ABOUT: ClassVar = About(
        "L + weight max(0, log p_old - log p) in responses that fell as a whole and had A >= 0",
        "arXiv 2512.04220, two re-implementations",
        "no released code",
    )

    RANGES: ClassVar = {"weight": Range(0)}

    weight: float = 0.1
    response: Literal["episode", "turn"] = "episode"

    def loss(self, batch: Batch, logp: Tensor, entropy: Tensor, iteration: int) -> Tensor:
        """The penalty."""
        fallen = (batch.old_logp - logp) * batch.mask
        with torch.no_grad():
            if self.response == "episode":
                as_a_whole = fallen.sum(1, keepdim=True).expand_as(fallen)
            else:
                as_a_whole = batch.at_decisions(batch.turn_means(fallen))
            counts = (as_a_whole > 0) & (batch.advantages >= 0) & batch.mask
        return self.weight * (fallen.clamp(min=0) * counts).sum() / batch.mask.sum().clamp(min=1)
