"""Probes: how much of the variance of returns is chance, and in which directions a policy is unstable.

Both work on arrays, for any agent. ``agentgym.agents.common.plasticity`` has the fraction of active units.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from agentgym.contracts.finite import require_finite
from agentgym.errors import InvalidParameter

__all__ = ["ChanceShare", "Directions", "chance_share", "input_gradients", "unstable_directions"]


@dataclass(frozen=True)
class ChanceShare:
    """The law of total variance for returns that share a start.

    Attributes:
        chance: mean variance within a start: what the environment's (and the policy's) chance explains.
        start: variance of the means of the starts, without the part that ``chance`` adds to it; an unbiased estimate,
            so it may be below 0.
        share: chance / (chance + start); NaN if all returns are equal.
    """

    chance: float
    start: float

    @property
    def share(self) -> float:
        """The share of the variance of returns that chance explains."""
        total = self.chance + self.start
        return self.chance / total if total else float("nan")


def chance_share(returns: NDArray[np.float64]) -> ChanceShare:
    """Split the variance of returns [starts, repetitions] by the law of total variance.

    Rows share everything but chance: ``reset(seed=start, options={"chance": repetition})`` of the Atari environments.

    Raises:
        InvalidParameter: there are not at least two starts and two repetitions.
        NonFinite: a return is NaN or infinite.
    """
    values = np.asarray(returns, np.float64)
    if values.ndim != 2 or min(values.shape) < 2:
        raise InvalidParameter(f"Returns must be [starts, repetitions], at least two each, not {values.shape}.")
    require_finite("the returns", values)
    within = float(values.var(axis=1, ddof=1).mean())
    between = float(values.mean(axis=1).var(ddof=1)) - within / values.shape[1]
    return ChanceShare(within, between)


@dataclass(frozen=True)
class Directions:
    """Principal directions of gradients.

    Attributes:
        directions: orthonormal rows, [k, D], the most unstable one first.
        shares: share of the squared gradients along each, [k].
    """

    directions: NDArray[np.float64]
    shares: NDArray[np.float64]

    def overlap(self, other: "Directions") -> float:
        """Squared cosine between the first directions, from 0 (disjoint) to 1 (equal)."""
        return float((self.directions[0] @ other.directions[0]) ** 2)


def unstable_directions(gradients: NDArray[np.float64], k: int = 1) -> Directions:
    """The top eigenvectors of the sum of g g^T over gradients [n, D], from the Gram matrix [n, n].

    This is our reading of the abstract of Korkmaz, ICML 2024 (arXiv 2406.16979); we have not seen its algorithm.

    Raises:
        InvalidParameter: there are fewer than ``k`` gradients that differ from 0, or k is below 1.
        NonFinite: a gradient is NaN or infinite.
    """
    rows = np.asarray(gradients, np.float64).reshape(len(gradients), -1)
    require_finite("the gradients", rows)
    values, vectors = np.linalg.eigh(rows @ rows.T)
    order = np.argsort(values)[::-1][:k]
    if k < 1 or len(order) < k or values[order[-1]] <= 1e-12 * max(values.max(), 1e-300):
        raise InvalidParameter(f"There are no {k} independent gradients among these {len(rows)}.")
    directions = (vectors[:, order].T @ rows) / np.sqrt(values[order])[:, None]
    return Directions(directions, values[order] / values.sum())


def input_gradients(logits: Any, observations: NDArray[Any], shift: float = 1e-2) -> NDArray[np.float64]:
    """Gradients [n, D] of the policy's cross-entropy against its own greedy actions, at slightly shifted observations.

    Args:
        logits: a function of float observations [n, ...] to action values or logits [n, A], differentiable.
        observations: visited states, [n, ...].
        shift: length of the step along the gradient at the state itself, before the gradient is taken.
    """
    points = torch.as_tensor(np.asarray(observations), dtype=torch.float32)
    greedy = logits(points).argmax(dim=1).detach()

    def gradient(at: torch.Tensor) -> torch.Tensor:
        at = at.detach().requires_grad_(True)
        (found,) = torch.autograd.grad(cross_entropy(logits(at), greedy, reduction="sum"), at)
        return found.flatten(1)

    first = gradient(points)
    step = shift * first / first.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return gradient(points + step.reshape(points.shape)).double().numpy()
