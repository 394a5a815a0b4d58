"""MiniRL: REINFORCE with truncated weights against the rollout's policy, masked by the update's ratio."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.methods.plugin import About, Plugin, Terms
from agentgym.contracts.settings import Preset, Range

__all__ = ["MINI_RL", "MiniRL"]

MINI_RL = Preset(
    "MiniRL (arXiv 2512.01374)",
    {"advantage": "dr-grpo", "aggregation": "fixed", "fixed_length": 1, "methods": ("mini-rl",)},
)


@dataclass
class MiniRL(Plugin):
    """MiniRL (arXiv 2512.01374): the loss of a decision is -M min(p / q, truncation) A log p, weights detached.

    q is the policy of the rollout, p_old the one before the update. M is 0 where (A > 0 and p / p_old > 1 + high) or
    (A < 0 and p / p_old < 1 - low).

    Attributes:
        low, high: of the mask.
        truncation: of the weight.
    """

    ABOUT: ClassVar = About(
        "loss -M min(p / q, 5) A log p, A = R - mean, sums over an episode; M = 0 where p / p_old leaves [0.8, 1.27]",
        "arXiv 2512.01374, four third-party notes that agree",
        "no released code; routing replay (R2, R3) is for mixtures of experts and not built",
    )
    RANGES: ClassVar = {"low": Range(0, 1), "high": Range(0), "truncation": Range(0, above=True)}
    REPLACES: ClassVar[bool] = True

    low: float = 0.2
    high: float = 0.27
    truncation: float = 5.0

    def surrogate(self, terms: Terms) -> Tensor:
        """The loss above; masked decisions are logged as clipped."""
        logp = terms.logp.detach()
        ratio = (logp - terms.old_logp).clamp(-20, 20).exp()
        weight = (logp - terms.batch.rollout_logp).clamp(-20, 20).exp().clamp(max=self.truncation)
        good, bad = terms.advantages > 0, terms.advantages < 0
        terms.clipped = (good & (ratio > 1 + self.high)) | (bad & (ratio < 1 - self.low))
        return torch.where(terms.clipped, 0.0, -weight * terms.advantages * terms.logp)
