"""AEM: advantages scaled by the entropy of each turn within its group."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.groups import divided_by_mean_exp, min_max
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin
from agentgym.contracts.settings import Range

__all__ = ["AEM"]


@dataclass
class AEM(Plugin):
    """AEM (arXiv 2605.00425): A <- A * exp(-k h) / mean(exp(-k h)).

    h is the mean entropy of a turn, scaled to [0, 1] over the group's turns; the mean is also over the group.

    Attributes:
        k: the paper's lambda, whose value our sources do not give.
    """

    ABOUT: ClassVar = About(
        "A exp(-lambda h) / mean, h min-max in the group",
        "arXiv 2605.00425, notes on its first version",
        "lambda; no code",
    )

    RANGES: ClassVar = {"k": Range(0)}

    k: float = 1.0

    def modulate(self, batch: Batch, advantages: Tensor) -> Tensor:
        """The formula above."""
        entropies, played = batch.turn_means(batch.old_entropy), batch.played
        group = batch.group[:, None].expand_as(batch.anchors)[played]
        scale = divided_by_mean_exp(-self.k * min_max(entropies[played], group), group)
        return advantages * batch.at_decisions(torch.zeros_like(entropies).masked_scatter(played, scale))
