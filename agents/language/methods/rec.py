"""REC: REINFORCE with clipping by masks, detached weights and regularisers."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.methods.plugin import About, Plugin, Terms
from agentgym.contracts.settings import Range

__all__ = ["REC"]


@dataclass
class REC(Plugin):
    """REC and REP (arXiv 2509.24203): the loss of a decision is -A w log p where its ratio r is in range, else 0,
    plus a regulariser. r and w are detached. Use it with ``advantage="dr-grpo"``.

    Attributes:
        side: which decisions count. "one-side": r <= 1 + high where A >= 0, r >= 1 - low where A <= 0. "two-side": r in
            [1 - low, 1 + high]. "ring": two-side, or r <= 1 - far_low where A >= 0, or r >= 1 + far_high where A <= 0.
            "all": every decision.
        weight: w: "none" (1), "ratio" (r) or "exp" (exp(A / temperature)).
        low, high, far_low, far_high: of the ranges.
        temperature: of the weight "exp".
        regulariser: "none", "k2" (coefficient * d^2 with d = log p - log p_old) or "forward-kl" (-coefficient * log p).
        coefficient: of the regulariser.
    """

    ABOUT: ClassVar = About(
        "loss -A w log p [r in range] + reg; w 1, r or exp(A / temperature), detached; ranges one-side, two-side, ring",
        "arXiv 2509.24203; code in R3L's copy of Trinity-RFT, rec_policy_loss.py",
        "the constructor's ring defaults (0.4, 0.4) differ from the registry's (0.6, 2.0), which win and are ours",
    )
    PRESETS: ClassVar = {
        "grpo": {"side": "one-side", "weight": "ratio"},
        "one-side": {"side": "one-side", "weight": "none"},
        "ring": {"side": "ring", "weight": "none"},
        "kimi": {"side": "all", "weight": "none", "regulariser": "k2"},
        "asymre": {"side": "all", "weight": "none", "regulariser": "forward-kl"},
    }
    RANGES: ClassVar = {
        **dict.fromkeys(("low", "high", "far_low", "far_high", "coefficient"), Range(0)),
        "temperature": Range(0, above=True),
    }
    REPLACES: ClassVar[bool] = True

    side: Literal["one-side", "two-side", "ring", "all"] = "one-side"
    weight: Literal["none", "ratio", "exp"] = "none"
    low: float = 0.2
    high: float = 0.2
    far_low: float = 0.6
    far_high: float = 2.0
    temperature: float = 1.0
    regulariser: Literal["none", "k2", "forward-kl"] = "none"
    coefficient: float = 0.1

    def surrogate(self, terms: Terms) -> Tensor:
        """The loss above; decisions out of range are logged as clipped."""
        moved = (terms.logp - terms.old_logp).clamp(-20, 20)
        ratio, advantages = moved.detach().exp(), terms.advantages
        inside = self.inside(ratio, advantages)
        weight = {"none": torch.ones_like, "ratio": lambda _: ratio, "exp": self._raised}[self.weight](advantages)
        terms.clipped = ~inside
        loss = torch.where(inside, -advantages * weight * terms.logp, 0.0)
        if self.regulariser == "k2":
            return loss + self.coefficient * moved**2
        return loss - self.coefficient * terms.logp if self.regulariser == "forward-kl" else loss

    def inside(self, ratio: Tensor, advantages: Tensor) -> Tensor:
        """Which decisions count, bool [B, U]."""
        good, bad = advantages >= 0, advantages <= 0
        if self.side == "all":
            return torch.ones_like(good)
        if self.side == "one-side":
            return (good & (ratio <= 1 + self.high)) | (bad & (ratio >= 1 - self.low))
        near = (ratio >= 1 - self.low) & (ratio <= 1 + self.high)
        if self.side == "two-side":
            return near
        return near | (good & (ratio <= 1 - self.far_low)) | (bad & (ratio >= 1 + self.far_high))

    def _raised(self, advantages: Tensor) -> Tensor:
        return (advantages / self.temperature).exp()
