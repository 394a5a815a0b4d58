"""The clipped surrogate loss of decisions and its aggregation."""

from typing import Literal

import torch
from torch import Tensor

__all__ = ["Aggregation", "aggregate", "clipped_surrogate", "covariances"]

Aggregation = Literal["decisions", "episodes", "fixed"]


def clipped_surrogate(
    logp: Tensor, old_logp: Tensor, advantages: Tensor, low: float, high: float, dual: float | None
) -> tuple[Tensor, Tensor]:
    """max(-r A, -clip(r, 1 - low, 1 + high) A) with r = exp(logp - old_logp) (PPO, arXiv 1707.06347).

    Args:
        logp, old_logp, advantages: [B, U].
        low, high: clip range of the ratio below and above 1.
        dual: for A < 0 the loss is at most -dual A (dual clip, Ye et al., arXiv 1912.09729); None: no bound.

    Returns:
        The loss of each decision, and which decisions have no gradient because of clipping; both [B, U].
    """
    ratio = (logp - old_logp).clamp(-20, 20).exp()
    plain, cut = -ratio * advantages, -ratio.clamp(1 - low, 1 + high) * advantages
    loss, clipped = torch.maximum(plain, cut), cut > plain
    if dual is not None:
        bound = -dual * advantages
        beyond = (advantages < 0) & (loss > bound)
        loss, clipped = torch.where(beyond, bound, loss), clipped | beyond
    return loss, clipped


def covariances(logp: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """(A - mean A)(log p - mean log p) of each decision, [B, U], with means over the mask (arXiv 2505.22617)."""
    count = mask.sum().clamp(min=1)
    away = logp - torch.where(mask, logp, 0.0).sum() / count
    return away * (advantages - torch.where(mask, advantages, 0.0).sum() / count)


def aggregate(loss: Tensor, mask: Tensor, how: Aggregation, length: int, episodes: int | None = None) -> Tensor:
    """The loss of a minibatch from losses [B, U].

    Args:
        loss: of each decision.
        mask: bool [B, U], which of them count.
        how: "decisions": the mean over decisions. "episodes": the mean of the episodes' means (GRPO). "fixed": the mean
            over episodes of each episode's sum divided by ``length`` (Dr.GRPO).
        length: divisor of "fixed".
        episodes: number of episodes that "fixed" divides by; None: B. If episodes without signal were left out of the
            minibatch, this is the number with them, so that the others do not weigh more.
    """
    counted = torch.where(mask, loss, 0.0)
    if how == "decisions":
        return counted.sum() / mask.sum().clamp(min=1)
    if how == "fixed":
        return counted.sum() / (length * (len(loss) if episodes is None else episodes))
    per_episode = counted.sum(1) / mask.sum(1).clamp(min=1)
    return per_episode.sum() / mask.any(1).sum().clamp(min=1)
