"""KL-Cov: a KL penalty on the decisions whose covariance reduces entropy most."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.surrogate import covariances
from agentgym.agents.language.methods.plugin import About, Plugin, Terms
from agentgym.contracts.settings import Range

__all__ = ["KLCov"]


@dataclass
class KLCov(Plugin):
    """KL-Cov (Cui et al., arXiv 2505.22617).

    The decisions with the largest (A - mean A)(log p - mean log p) get the extra loss weight * |log p - log p_old|.

    Attributes:
        share: of the minibatch's decisions that get it, rounded down but at least one.
        weight: of the penalty.
    """

    ABOUT: ClassVar = About(
        "weight |log r| on the decisions with the largest (A - mean A)(log p - mean log p)",
        "arXiv 2505.22617",
    )

    PRESETS: ClassVar = {"paper": {"share": 0.0002, "weight": 1.0}}

    RANGES: ClassVar = {"share": Range(0, 1), "weight": Range(0)}

    share: float = 0.0002
    weight: float = 1.0

    def surrogate(self, terms: Terms) -> Tensor:
        """The loss, with the penalty where the covariance is largest."""
        covariance = covariances(terms.logp, terms.advantages, terms.mask).detach()
        count = max(1, int(self.share * int(terms.mask.sum())))
        top = torch.where(terms.mask, covariance, -torch.inf).flatten().topk(min(count, covariance.numel())).indices
        penalised = torch.zeros_like(terms.mask.flatten())
        penalised[top] = True
        penalised = penalised.view_as(terms.mask) & terms.mask
        return terms.loss + self.weight * (terms.logp - terms.old_logp).abs() * penalised
