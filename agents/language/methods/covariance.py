"""Clip-Cov and KL-Cov: keep entropy by holding back the few decisions whose covariance drives it down."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.plugins import Plugin, Terms
from agentgym.contracts.settings import Range

__all__ = ["ClipCov", "KLCov", "covariances"]


def covariances(logp: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """(A - mean A)(log p - mean log p) of each decision [B, U]; means over the mask (Cui et al., arXiv 2505.22617)."""
    count = mask.sum().clamp(min=1)
    away = logp - torch.where(mask, logp, 0.0).sum() / count
    return away * (advantages - torch.where(mask, advantages, 0.0).sum() / count)


@dataclass
class ClipCov(Plugin):
    """Clip-Cov (Cui et al., arXiv 2505.22617): of the decisions with low < covariance < high that PPO did not clip, a
    random share loses its loss.

    The method opens PPO's range to 1 on both sides: set ``clip_low`` and ``clip_high`` of the agent so.

    Attributes:
        share: of all decisions of the minibatch, rounded down but at least one.
        low, high: bounds of the covariance.
    """

    PRESETS: ClassVar = {"paper": {"share": 0.0002, "low": 1.0, "high": 5.0}}

    RANGES: ClassVar = {"share": Range(0, 1)}

    share: float = 0.0002
    low: float = 1.0
    high: float = 5.0

    def surrogate(self, terms: Terms) -> Tensor:
        """The loss, 0 where a decision was drawn."""
        covariance = covariances(terms.logp, terms.advantages, terms.mask).detach()
        eligible = (covariance > self.low) & (covariance < self.high) & terms.mask & ~terms.clipped
        places = eligible.flatten().nonzero()[:, 0]
        count = min(len(places), max(1, int(self.share * int(terms.mask.sum()))))
        order = torch.randperm(len(places), generator=terms.generator)[:count].to(places.device)
        drawn = torch.zeros_like(eligible.flatten())
        drawn[places[order]] = True
        self.numbers["dropped"] = count / max(1, int(terms.mask.sum()))
        return torch.where(drawn.view_as(eligible), 0.0, terms.loss)


@dataclass
class KLCov(Plugin):
    """KL-Cov (Cui et al., arXiv 2505.22617): the decisions with the largest covariances pay ``weight * |log r|``.

    Attributes:
        share: of the minibatch's decisions, rounded down but at least one.
        weight: of the penalty.
    """

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
