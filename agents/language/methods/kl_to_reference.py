"""A KL penalty to the initial policy."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin
from agentgym.agents.language.policies.policy import Policy
from agentgym.contracts.settings import Range

__all__ = ["KLToReference"]


@dataclass
class KLToReference(Plugin):
    """L <- L + weight * mean(exp(d) - d - 1), where d = log p_ref - log p.

    This is GRPO's low-variance estimate of KL(p || p_ref) (Shao et al., arXiv 2402.03300).

    Attributes:
        weight: 0.04 in GRPO's paper, 0.01 in EPO's runs.
        to: the reference. "start": a copy of the policy before the first iteration, which shares what is not trained.
            "base": the policy without its adapters (``lora_rank``), which is no copy; the two differ after imitation.
    """

    ABOUT: ClassVar = About(
        "L + weight mean(exp(d) - d - 1), d = log p_ref - log p; p_ref before the first iteration, or without adapters",
        "arXiv 2402.03300",
    )

    RANGES: ClassVar = {"weight": Range(0)}

    weight: float = 0.01
    to: Literal["start", "base"] = "start"
    reference: Policy | None = field(default=None, init=False)
    policy: Policy | None = field(default=None, init=False)

    def begin(self, policy: Policy) -> None:
        """Copy the policy, or check that it has adapters to leave out."""
        if self.to == "base":
            policy.without_adapters()
            self.policy = policy
        else:
            self.reference = policy.twin().requires_grad_(False)

    @torch.no_grad()
    def reference_logp(self, batch: Batch) -> Tensor:
        """log p_ref, [B, U]."""
        if self.reference is not None:
            return self.reference.evaluate_decisions(batch)[0]
        assert self.policy is not None
        with self.policy.without_adapters():
            return self.policy.evaluate_decisions(batch)[0]

    def loss(self, batch: Batch, logp: Tensor, entropy: Tensor, iteration: int) -> Tensor:
        """The penalty."""
        difference = (self.reference_logp(batch) - logp).clamp(max=20)
        kl = ((difference.exp() - difference - 1) * batch.mask).sum() / batch.mask.sum().clamp(min=1)
        self.numbers["distance"] = float(kl.detach())
        return self.weight * kl

    def state(self) -> dict[str, Any]:
        """The reference's weights."""
        return {} if self.reference is None else dict(self.reference.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        """Load the reference's weights."""
        if self.reference is not None:
            self.reference.load_state_dict(state)
