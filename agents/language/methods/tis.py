"""TIS: truncated importance sampling, or rejection, between the rollout's policy and the one before the update."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.methods.plugin import About, Plugin, Terms
from agentgym.contracts.settings import Range

__all__ = ["TIS"]


@dataclass
class TIS(Plugin):
    """The loss of a decision is multiplied by w = p_old / q, detached, where q is the policy of the rollout.

    q differs from p_old if the rollout had another temperature, or another program computed it. If both are equal,
    nothing changes.

    Attributes:
        of: "decision", or "episode": the product over the decisions that are learned from.
        beyond: what happens to weights above ``bound``: "truncate" to it, or "reject" (0).
        bound: see ``beyond``.
    """

    ABOUT: ClassVar = About(
        "loss times w = p_old / q, per decision or product over the episode, truncated or rejected above a bound",
        "code of verl, rollout_corr_helper.py (truncate, 2); TRL (sequence_mask, 3; its docstring says otherwise)",
    )
    PRESETS: ClassVar = {
        "verl": {"of": "decision", "beyond": "truncate", "bound": 2.0},
        "trl": {"of": "episode", "beyond": "reject", "bound": 3.0},
    }
    RANGES: ClassVar = {"bound": Range(0, above=True)}

    of: Literal["decision", "episode"] = "decision"
    beyond: Literal["truncate", "reject"] = "truncate"
    bound: float = 2.0

    def weights(self, terms: Terms) -> Tensor:
        """w, [B, U]."""
        apart = (terms.old_logp - terms.batch.rollout_logp) * terms.mask
        if self.of == "episode":
            apart = apart.sum(1, keepdim=True).expand_as(apart)
        weight = apart.clamp(-20, 20).exp()
        if self.beyond == "truncate":
            return weight.clamp(max=self.bound)
        return torch.where(weight > self.bound, 0.0, weight)

    def surrogate(self, terms: Terms) -> Tensor:
        """The loss times w."""
        weight = self.weights(terms)
        self.numbers["weight"] = float((weight * terms.mask).sum() / terms.mask.sum().clamp(min=1))
        return terms.loss * weight
