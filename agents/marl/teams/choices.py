"""Choices of agents: one-hot vectors, and samples of softmax distributions by Gumbel noise."""

import torch
from torch import Tensor

__all__ = ["best", "explored", "gumbel", "sampled"]


def best(scores: Tensor) -> Tensor:
    """The one-hot vectors [..., C] of the largest scores."""
    return torch.zeros_like(scores).scatter_(-1, scores.argmax(-1, keepdim=True), 1.0)


def gumbel(like: Tensor, generator: torch.Generator) -> Tensor:
    """Gumbel noise, so that the best of logits plus noise is a sample of their softmax."""
    uniform = torch.rand(like.shape, generator=generator, device=like.device)
    return uniform.clamp_(1e-20, 1 - 1e-7).log_().neg_().log_().neg_()


def sampled(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One-hot samples [..., C] of the softmax of logits."""
    return best(logits + gumbel(logits, generator))


def explored(logits: Tensor, impossible: Tensor | None, share: float, generator: torch.Generator) -> Tensor:
    """Samples as above, a share of them uniformly random instead.

    Args:
        logits: [N, A, C].
        impossible: choices that an agent does not have, bool [A, C], or None.
        share: of agents and worlds that choose at random.
        generator: of all this.
    """
    flat = torch.zeros_like(logits)
    if impossible is not None:
        flat = flat.masked_fill(impossible.to(logits.device), -1e9)
    lost = torch.rand(logits.shape[:-1], generator=generator, device=logits.device) < share
    return sampled(torch.where(lost.unsqueeze(-1), flat, logits), generator)
