"""The recent history of the episodes that a sequence agent acts in."""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

__all__ = ["History"]


class History(NamedTuple):
    """The last K steps of B episodes, the newest last. Missing steps are zeros and masked.

    It is immutable: every method returns a new one, so a caller may return to an earlier one.

    Attributes:
        observations: ``[B, K, D]``.
        actions: as inputs, ``[B, K, A]``; the newest is zero until it is selected.
        rewards: ``[B, K]``; the newest is zero until it is received.
        mask: bool ``[B, K]``.
        time: index of the newest step in its episode, int64 ``[B]``.
        total: sum of the rewards in the episode so far, float64 ``[B]``.
        memory: further state that the agent keeps for these episodes.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    mask: Tensor
    time: Tensor
    total: Tensor
    memory: Any = None

    @classmethod
    def blank(cls, count: int, steps: int, observation: int, action: int, device: torch.device) -> Self:
        """An empty history."""
        zeros = torch.zeros(count, steps, device=device)
        return cls(
            zeros[..., None].expand(-1, -1, observation), zeros[..., None].expand(-1, -1, action), zeros, zeros.bool(),
            torch.zeros(count, dtype=torch.int64, device=device),
            torch.zeros(count, dtype=torch.float64, device=device),
        )  # fmt: skip

    @property
    def times(self) -> Tensor:
        """The index of every step in its episode, int64 ``[B, K]``."""
        back = torch.arange(1 - self.mask.shape[1], 1, device=self.time.device)
        return (self.time[:, None] + back).clamp(min=0)

    def after(self, rewards: Tensor, observations: Tensor, begins: Tensor) -> Self:
        """Append one step.

        Args:
            rewards: of the last step, ``[B]``; ignored where an episode begins.
            observations: the new observations, ``[B, D]``.
            begins: bool ``[B]``, True where an episode begins, which clears the history.
        """
        goes_on = ~begins
        heard = torch.cat([self.rewards[:, :-1], rewards[:, None]], 1) * self.mask
        mask = torch.cat([self.mask[:, 1:] & goes_on[:, None], torch.ones_like(begins)[:, None]], 1)

        def moved(values: Tensor, newest: Tensor) -> Tensor:
            joined = torch.cat([values[:, 1:], newest[:, None]], 1)
            return joined.masked_fill(~mask.view(*mask.shape, *[1] * (joined.dim() - 2)), 0)

        return self._replace(
            observations=moved(self.observations, observations),
            actions=moved(self.actions, torch.zeros_like(self.actions[:, 0])),
            rewards=moved(heard, torch.zeros_like(rewards)),
            mask=mask,
            time=torch.where(begins, 0, self.time + 1),
            total=torch.where(begins, 0.0, self.total + rewards),
        )

    def with_actions(self, actions: Tensor) -> Self:
        """Set the newest actions, ``[B, A]``."""
        return self._replace(actions=torch.cat([self.actions[:, :-1], actions[:, None]], 1))
