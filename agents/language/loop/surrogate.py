"""The clipped surrogate loss of each decision, and how the losses of many become one number."""

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
        low, high: how far the ratio may fall and rise.
        dual: where A < 0 the loss is at most -dual A (dual clip, Ye et al., arXiv 1912.09729); None: no bound.

    Returns:
        The loss of each decision, and where clipping has taken its gradient away; both [B, U].
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
    """One number from losses [B, U].

    Args:
        loss: of each decision.
        mask: bool [B, U], which of them count.
        how: "decisions": their mean, so that long episodes weigh more. "episodes": the mean of episodes' means (GRPO).
            "fixed": each episode's sum divided by ``length``, mean over episodes, so that a decision weighs the same in
            long and short ones (Dr.GRPO).
        length: of "fixed".
        episodes: of "fixed": by how many to divide; None: B. Where episodes with nothing to learn from were left out
            it is how many there were with them, so that those that remain do not weigh more.
    """
    counted = torch.where(mask, loss, 0.0)
    if how == "decisions":
        return counted.sum() / mask.sum().clamp(min=1)
    if how == "fixed":
        return counted.sum() / (length * (len(loss) if episodes is None else episodes))
    per_episode = counted.sum(1) / mask.sum(1).clamp(min=1)
    return per_episode.sum() / mask.any(1).sum().clamp(min=1)
