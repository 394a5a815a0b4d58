"""Clip-Cov: a random share of the decisions whose covariance reduces entropy gets no loss."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.surrogate import covariances
from agentgym.agents.language.methods.plugin import About, Plugin, Terms
from agentgym.contracts.settings import Range

__all__ = ["ClipCov"]


@dataclass
class ClipCov(Plugin):
    """Clip-Cov (Cui et al., arXiv 2505.22617).

    Candidates are the decisions with low < (A - mean A)(log p - mean log p) < high that PPO did not clip. A random
    part of them, ``share`` of all decisions, gets no loss. The paper opens PPO's clip range to 1 on both sides: set
    the agent's ``clip_low`` and ``clip_high`` to 1.

    Attributes:
        share: of all decisions of the minibatch, rounded down but at least one.
        low, high: bounds of the covariance.
    """

    ABOUT: ClassVar = About(
        "no loss for a random share of decisions with low < (A - mean A)(log p - mean log p) < high",
        "arXiv 2505.22617",
    )

    PRESETS: ClassVar = {"paper": {"share": 0.0002, "low": 1.0, "high": 5.0}}

    RANGES: ClassVar = {"share": Range(0, 1)}

    share: float = 0.0002
    low: float = 1.0
    high: float = 5.0

    def surrogate(self, terms: Terms) -> Tensor:
        """The loss, set to 0 for the decisions that were drawn."""
        covariance = covariances(terms.logp, terms.advantages, terms.mask).detach()
        eligible = (covariance > self.low) & (covariance < self.high) & terms.mask & ~terms.clipped
        places = eligible.flatten().nonzero()[:, 0]
        count = min(len(places), max(1, int(self.share * int(terms.mask.sum()))))
        order = torch.randperm(len(places), generator=terms.generator)[:count].to(places.device)
        drawn = torch.zeros_like(eligible.flatten())
        drawn[places[order]] = True
        self.numbers["dropped"] = count / max(1, int(terms.mask.sum()))
        return torch.where(drawn.view_as(eligible), 0.0, terms.loss)
