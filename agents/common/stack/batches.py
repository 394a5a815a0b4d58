"""Batches as stacks take them: states and actions side by side."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Joined"]


class Joined(NamedTuple):
    """B transitions.

    Attributes:
        pairs: s and a, ``[B, D + A]``, the agent's own to overwrite.
        next_pairs: s', and A places for an action there, ``[B, D + A]``.
        rewards: r, ``[B]``.
        discounts: of what follows, 0 where s' is terminal, ``[B]``.
        actions: A.
    """

    pairs: Tensor
    next_pairs: Tensor
    rewards: Tensor
    discounts: Tensor
    actions: int

    @classmethod
    def of(cls, states: Tensor, actions: Tensor, rewards: Tensor, next_states: Tensor, discounts: Tensor) -> "Joined":
        """From separate tensors."""
        pairs, next_pairs = torch.cat([states, actions], 1), torch.cat([next_states, torch.zeros_like(actions)], 1)
        return cls(pairs, next_pairs, rewards, discounts, actions.shape[1])

    @property
    def states(self) -> Tensor:
        """s, ``[B, D]``, a view."""
        return self.pairs[:, : -self.actions]

    @property
    def next_states(self) -> Tensor:
        """s', ``[B, D]``, a view."""
        return self.next_pairs[:, : -self.actions]
