"""The batch of Dichotomy of Control's losses, the contrastive term, and the selection among latent futures."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from agentgym.agents.offline.doc.networks import Gaussians

__all__ = ["Batch", "best_of", "contrast"]


class Batch(NamedTuple):
    """B windows of K steps, encoded for the losses. Padding is included, so all batches have the same size.

    Attributes:
        begins: the first state of each window, ``[B, D]``.
        returns: the return from there to the episode's end, in V's units, ``[B]``.
        posterior: q(z | future) of each window.
        inside: int64 ``[n]``, the indices of the B K steps that are not padding.
        history: encoding of the history, ``[B K, W]``.
        states, next_states: ``[B K, D]``.
        actions: encoded as inputs, ``[B K, A]``.
        targets: dataset actions, ``[B K, A]`` or int64 ``[B K]``.
        rewards: scaled, ``[B K, 1]``.
    """

    begins: Tensor
    returns: Tensor
    posterior: Gaussians
    inside: Tensor
    history: Tensor
    states: Tensor
    next_states: Tensor
    actions: Tensor
    targets: Tensor
    rewards: Tensor

    @property
    def steps(self) -> float:
        """The mean number of steps per window."""
        return len(self.inside) / len(self.begins)

    def of_steps(self, z: Tensor) -> Tensor:
        """Repeat the windows' z ``[B, Z]`` for each of their steps, ``[B K, Z]``."""
        return z.repeat_interleave(len(self.states) // len(z), 0)


def contrast(energies: Tensor) -> Tensor:
    """E[f(r, s') - log E_rho exp f(r~, s~')] (Yang et al. 2023, section 4), in nats.

    Its maximum over f is the mutual information of (r, s') and the other inputs of f, and at most log n.

    Args:
        energies: f of each row with each row's outcome, ``[n, n]``; the diagonal holds the true pairs. The outcomes,
            a row's own included, are samples from the data's marginal rho.
    """
    return (energies.diagonal() - energies.logsumexp(1)).mean() + math.log(len(energies))


def best_of(z: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The candidate with the highest value, ``[B, Z]``, and an independent estimate of its value, ``[B]``.

    The estimate that selects overrates its choice because of its own errors, so a second one rates it (van Hasselt,
    "Double Q-learning", NIPS 2010).

    Args:
        z: candidates, ``[B, K, Z]``.
        values: ``[2, B, K]``; the first estimate selects and the second rates.

    Raises:
        RuntimeError: all candidates of a row are equal, so there is nothing to select.
    """
    if z.shape[1] > 1 and bool((z == z[:, :1]).flatten(1).all(1).any()):
        raise RuntimeError(f"All {z.shape[1]} candidates are the same z, so there is nothing to select.")
    choosing, judging = values
    best = choosing.argmax(1)
    rows = torch.arange(len(z), device=z.device)
    return z[rows, best], judging[rows, best]
