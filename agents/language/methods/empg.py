"""EMPG: advantages scaled by the entropy of each turn."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.groups import divided_by_mean_exp, min_max
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin
from agentgym.contracts.settings import Range

__all__ = ["EMPG"]


@dataclass
class EMPG(Plugin):
    """Entropy-modulated policy gradients (EMPG, Wang et al., arXiv 2509.09265):

        A <- A * exp(-k h) / mean(exp(-k h)) + zeta * exp(-k_future * h_next),

    where h is the mean entropy of a turn, scaled to [0, 1] over the batch, and h_next that of the following turn. The
    advantages of the batch are then centred.

    Attributes:
        k: how much more turns of low entropy weigh.
        k_future: the same for the following turn, in the bonus.
        zeta: weight of the bonus for turns that lead to a turn of low entropy; an episode's last turn gets none.
        centre: subtract the mean over the batch's decisions.
    """

    ABOUT: ClassVar = About(
        "A exp(-k h) / mean + zeta exp(-k' h_next), h min-max over the batch; centred",
        "arXiv 2509.09265, project page",
        "centring is from memory of the paper",
    )

    PRESETS: ClassVar = {"paper": {"k": 1.0, "k_future": 1.0, "zeta": 0.1}}

    RANGES: ClassVar = {"k": Range(0), "k_future": Range(0), "zeta": Range(0)}

    k: float = 1.0
    k_future: float = 1.0
    zeta: float = 0.1
    centre: bool = True

    def modulate(self, batch: Batch, advantages: Tensor) -> Tensor:
        """The formula above."""
        entropies, played = batch.turn_means(batch.old_entropy), batch.played
        group = torch.zeros_like(batch.anchors)[played]  # one group: the batch
        unit = min_max(entropies[played], group)
        gain = torch.zeros_like(entropies).masked_scatter(played, divided_by_mean_exp(-self.k * unit, group))
        bonus = torch.zeros_like(entropies).masked_scatter(played, (-self.k_future * unit).exp())
        future = torch.cat([bonus[:, 1:], torch.zeros_like(bonus[:, :1])], 1)
        changed = advantages * batch.at_decisions(gain) + self.zeta * batch.at_decisions(future)
        if self.centre:
            changed = changed - torch.where(batch.mask, changed, 0.0).sum() / batch.mask.sum().clamp(min=1)
        return changed
