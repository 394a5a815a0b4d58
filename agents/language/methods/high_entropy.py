"""80/20: a policy gradient only where entropy is high."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.methods.plugin import About, Plugin, Terms
from agentgym.contracts.settings import Range

__all__ = ["HighEntropy"]


@dataclass
class HighEntropy(Plugin):
    """80/20 (arXiv 2506.01939): only the decisions with the highest entropies under the current policy have a loss.

    The divisor of the loss stays, as in TRL. It is for written tokens: among two or three commands to choose from,
    entropy says little.

    Attributes:
        share: of the decisions that are kept.
        over: "batch": the quantile is over the minibatch, and equal entropies are kept (TRL). "episode": over each
            episode, and they are not (the baseline in SIREN's code).
    """

    ABOUT: ClassVar = About(
        "loss only on the share of 0.2 of the decisions with the highest entropy",
        "arXiv 2506.01939; TRL get_high_entropy_mask; a baseline in SIREN's code",
    )
    RANGES: ClassVar = {"share": Range(0, 1, above=True)}

    share: float = 0.2
    over: Literal["batch", "episode"] = "batch"

    def kept(self, terms: Terms) -> Tensor:
        """Which decisions keep their loss, bool [B, U]."""
        entropy = terms.entropy.detach()
        if not terms.mask.any():
            return terms.mask
        if self.over == "batch":
            return terms.mask & (entropy >= entropy[terms.mask].quantile(1 - self.share))
        bounds = torch.where(terms.mask, entropy, torch.nan).nanquantile(1 - self.share, dim=1, keepdim=True)
        return terms.mask & (entropy > bounds)

    def surrogate(self, terms: Terms) -> Tensor:
        """The loss, 0 where entropy is low."""
        kept = self.kept(terms)
        self.numbers["kept"] = float(kept.sum() / terms.mask.sum().clamp(min=1))
        return torch.where(kept, terms.loss, 0.0)
