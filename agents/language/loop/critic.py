"""A critic: values of the states in which decisions are made."""

from typing import Any

import torch
from torch import Tensor, nn

from agentgym.agents.common.inventory import optimizer_state, restore_optimizer
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.policies.policy import Policy
from agentgym.errors import NonFinite

__all__ = ["Critic", "clipped_squares"]


def clipped_squares(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """0.5 max((v - R)^2, (clip(v, old - clip, old + clip) - R)^2), PPO's loss of values, elementwise."""
    near = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns) ** 2, (near - returns) ** 2)


class Critic(nn.Module):
    """A copy of the policy whose states at decisions are read by a linear head, with an optimiser of its own.

    The head starts at 0, so that all first values are 0. With several processes, each computes all values.

    Args:
        policy: to copy; of the copy the same parameters are trained.
        rate: learning rate.
    """

    def __init__(self, policy: Policy, rate: float) -> None:
        super().__init__()
        self.trunk = policy.twin()
        self.head = nn.Linear(policy.state_size, 1).to(next(policy.parameters()).device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(learned, rate, betas=(0.9, 0.95), weight_decay=0.01)

    def forward(self, batch: Batch) -> Tensor:
        """Values [B, U] of a batch's decisions; 0 where there is none."""
        values: Tensor = self.head(self.trunk.decision_states(batch))[..., 0]
        return values * (batch.at >= 0)

    def fit(
        self, batch: Batch, old: Tensor, returns: Tensor, mask: Tensor, clip: float, epochs: int, minibatches: int,
        generator: torch.Generator | None,
    ) -> float:  # fmt: skip
        """Gradient steps towards ``returns``, all [B, U]; the mean loss.

        Raises:
            NonFinite: a loss is not finite; the weights are those before that step.
        """
        losses = []
        for _ in range(epochs):
            for part in torch.randperm(len(batch), generator=generator).chunk(minibatches):
                rows = part.to(batch.ids.device)
                small = batch.rows(rows)
                size = small.at.shape[1]
                each = clipped_squares(self(small), old[rows, :size], returns[rows, :size], clip)
                counted = mask[rows, :size]
                losses.append(self.step(torch.where(counted, each, 0.0).sum() / counted.sum().clamp(min=1)))
        return sum(losses) / len(losses)

    def step(self, loss: Tensor) -> float:
        """One step of the optimiser, with the gradient's norm at most 1; the loss.

        Raises:
            NonFinite: the loss or its gradient is not finite.
        """
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        if not norm.isfinite():
            raise NonFinite("The critic's loss or its gradient is not finite. Try a smaller rate of the critic.")
        self.optimizer.step()
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """Weights and optimiser, for checkpoints."""
        return {"weights": dict(self.state_dict()), "optimizer": optimizer_state(self.optimizer)}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.load_state_dict(state["weights"])
        restore_optimizer(self.optimizer, state["optimizer"])
