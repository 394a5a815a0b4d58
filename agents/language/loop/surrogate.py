"""The clipped surrogate loss of decisions and its aggregation."""

from typing import Literal, Protocol

import torch
from torch import Tensor

from agentgym.agents.language.loop.trajectory import Batch

__all__ = ["Aggregation", "Clipping", "Ratio", "aggregate", "clipped_surrogate", "covariances", "ratios"]

Aggregation = Literal["decisions", "episodes", "fixed"]
Ratio = Literal["decision", "turn", "episode", "none"]


class Clipping(Protocol):
    """The settings of the clipped loss: those of a language agent.

    Attributes:
        ratio: what the ratio r of new to old probability is of. "turn" and "episode": the geometric mean over the
            decisions of the turn or episode. "none": no ratio and no clipping, the loss is -A log p.
        clip_low, clip_high: clip range of the ratio below and above 1.
        clip_dual: for A < 0 the loss is at most -clip_dual A (dual clip, Ye et al., arXiv 1912.09729); None: no bound.
    """

    ratio: Ratio
    clip_low: float
    clip_high: float
    clip_dual: float | None


def ratios(logp: Tensor, batch: Batch, level: Ratio) -> Tensor:
    """Ratios of new to old probability, [B, U].

    Of a turn or an episode: sg(s) exp(log p - sg(log p)), where s = exp(mean of log p - log p_old) and sg stops the
    gradient, so that each decision keeps a gradient of its own (GSPO-token, arXiv 2507.18071). Decisions that are not
    learned from, or had no alternative, do not count in the mean.
    """
    moved = logp - batch.old_logp
    if level == "decision":
        return moved.clamp(-20, 20).exp()
    counted = (batch.mask & batch.free).to(logp.dtype)
    moved = moved.detach() * counted
    if level == "episode":
        mean = (moved.sum(1) / counted.sum(1).clamp(min=1))[:, None]
    else:
        zeros = torch.zeros(batch.rewards.shape, dtype=logp.dtype, device=logp.device)
        sums, counts = (zeros.scatter_add(1, batch.turn, values) for values in (moved, counted))
        mean = (sums / counts.clamp(min=1)).gather(1, batch.turn)
    return (logp - logp.detach() + mean).clamp(-20, 20).exp()


def clipped_surrogate(logp: Tensor, batch: Batch, advantages: Tensor, settings: Clipping) -> tuple[Tensor, Tensor]:
    """max(-r A, -clip(r, 1 - clip_low, 1 + clip_high) A) (PPO, arXiv 1707.06347).

    Args:
        logp: under the current policy, [B, U].
        batch: the decisions, with ``old_logp``.
        advantages: [B, U].
        settings: of ratio and clipping.

    Returns:
        The loss of each decision, and which decisions have no gradient because of clipping; both [B, U].
    """
    if settings.ratio == "none":
        return -advantages * logp, torch.zeros_like(batch.mask)
    ratio = ratios(logp, batch, settings.ratio)
    low, high, dual = settings.clip_low, settings.clip_high, settings.clip_dual
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
