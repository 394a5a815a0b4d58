"""A penalty on the distance from the policy at the beginning."""

import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.plugins import Plugin
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.policies.policy import Policy
from agentgym.contracts.settings import Range

__all__ = ["KLToReference"]


@dataclass
class KLToReference(Plugin):
    """L <- L + weight * mean(exp(d) - d - 1), d = log p_ref - log p.

    That is the low-variance estimate of KL(p || p_ref) that GRPO uses (arXiv 2402.03300). The reference is the policy
    as it was before the first iteration.

    Attributes:
        weight: 0.04 in GRPO's paper, 0.01 in EPO's runs.
    """

    RANGES: ClassVar = {"weight": Range(0)}

    weight: float = 0.01
    reference: Policy | None = field(default=None, init=False)

    def begin(self, policy: Policy) -> None:
        """Keep a copy."""
        self.reference = copy.deepcopy(policy).requires_grad_(False)

    def loss(self, batch: Batch, logp: Tensor, entropy: Tensor, iteration: int) -> Tensor:
        """The penalty."""
        assert self.reference is not None
        with torch.no_grad():
            theirs, _ = self.reference.evaluate_decisions(batch)
        apart = (theirs - logp).clamp(max=20)
        distance = ((apart.exp() - apart - 1) * batch.mask).sum() / batch.mask.sum().clamp(min=1)
        self.numbers["distance"] = float(distance.detach())
        return self.weight * distance

    def state(self) -> dict[str, Any]:
        """The reference's weights."""
        return {} if self.reference is None else dict(self.reference.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        """Put them back."""
        if self.reference is not None:
            self.reference.load_state_dict(state)
