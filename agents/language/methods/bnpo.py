"""BNPO: binary rewards normalised by a Beta distribution of the groups' success rates."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Estimator

__all__ = ["BNPO", "beta_weights"]

LARGEST = 1e6  # of a weight, as released


def beta_weights(rates: Tensor) -> Tensor:
    """1 / Beta(p; alpha, beta) for success rates p [n] of groups, at most 1e6.

    alpha = max(1, 1 + a / 3) and beta = max(1, 1 + b / 3), where a and b are those of the Beta distribution with the
    mean and unbiased variance of the rates. If the rates are all equal, or there is one, weights are 1.
    """
    mean, variance = rates.mean(), rates.var() if len(rates) > 1 else torch.zeros(())
    if float(variance) == 0:
        return torch.ones_like(rates)
    c = float(mean * (1 - mean) / variance) - 1
    alpha, beta = max(1.0, 1 + c * float(mean) / 3), max(1.0, 1 + c * float(1 - mean) / 3)
    scale = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    density = math.exp(scale) * rates ** (alpha - 1) * (1 - rates) ** (beta - 1)
    return (1 / density).clamp(max=LARGEST)


@dataclass
class BNPO(Estimator):
    """BNPO (arXiv 2506.02864): A = (R - p) / Beta(p; alpha, beta), with p the group's success rate.

    R is success, 1 or 0: bonuses and penalties do not count, because the released code refuses returns outside [0, 1].
    """

    ABOUT: ClassVar = About(
        "A = (won - p) / Beta(p; alpha, beta), the Beta fitted to the groups' success rates p",
        "arXiv 2506.02864; code of changyi7231/BNPO, bnpo_ray_trainer.py",
        "all groups alike: the code divides by a variance of 0; ours has weight 1",
    )

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B]."""
        won = batch.won.double()
        numbers, place = batch.group.unique(return_inverse=True)
        sums = torch.zeros(len(numbers), dtype=won.dtype, device=won.device).index_add(0, place, won)
        rates = sums / place.bincount()
        weights = beta_weights(rates)
        self.numbers |= {"weight": float(weights.mean()), "rate": float(rates.mean())}
        return ((won - rates[place]) * weights[place]).float()
