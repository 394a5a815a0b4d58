"""What the losses see of the data, the contrast that keeps luck out of z, and the choice among futures."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from agentgym.agents.offline.doc.networks import Gaussians

__all__ = ["Batch", "best_of", "contrast"]


class Batch(NamedTuple):
    """B windows of K steps as the losses see them. Padding stays in, so that all batches have one size.

    Attributes:
        begins: the states at which the windows begin, ``[B, D]``.
        returns: from there to the episode's end, as V gives them, ``[B]``.
        posterior: q(z | future) of each window.
        inside: int64 ``[n]``, which of the B K steps are no padding.
        history: what the past says, ``[B K, W]``.
        states, next_states: ``[B K, D]``.
        actions: as inputs, ``[B K, A]``.
        targets: actions as the data have them, ``[B K, A]`` or int64 ``[B K]``.
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
        """How many a window has, on the mean."""
        return len(self.inside) / len(self.begins)

    def of_steps(self, z: Tensor) -> Tensor:
        """The windows' z ``[B, Z]`` for each of their steps, ``[B K, Z]``."""
        return z.repeat_interleave(len(self.states) // len(z), 0)


def contrast(energies: Tensor) -> Tensor:
    """E[f(r, s') - log E_rho exp f(r~, s~')] (Yang et al. 2023, section 4), in nats.

    Its maximum over f is the mutual information of (r, s') and all that f knows besides, at most log n.

    Args:
        energies: f of each row with each row's outcome, ``[n, n]``; what happened stands on the diagonal. A row's
            outcomes together, its own included, are drawn from the data's marginal rho.
    """
    return (energies.diagonal() - energies.logsumexp(1)).mean() + math.log(len(energies))


def best_of(z: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The candidate of greatest value, ``[B, Z]``, and what another estimate says that it is worth, ``[B]``.

    Who chooses overrates its choice, by its own errors; the other's errors are its own (van Hasselt, "Double
    Q-learning", NIPS 2010).

    Args:
        z: candidates, ``[B, K, Z]``.
        values: one estimate that chooses, one that judges, ``[2, B, K]``.

    Raises:
        RuntimeError: in a row all candidates are one and the same, so there is nothing to choose from.
    """
    if z.shape[1] > 1 and bool((z == z[:, :1]).flatten(1).all(1).any()):
        raise RuntimeError(f"All {z.shape[1]} candidates are one and the same z: the best of them is no choice.")
    choosing, judging = values
    best = choosing.argmax(1)
    rows = torch.arange(len(z), device=z.device)
    return z[rows, best], judging[rows, best]
