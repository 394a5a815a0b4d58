"""CANON: a group's halves, by entropy or by length, are compared with each other."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import group_mean_std, returns_of
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Estimator
from agentgym.contracts.settings import Preset, Range

__all__ = ["CANON", "CANON_PRESET"]

CANON_PRESET = Preset("CANON (arXiv 2509.23962)", {"advantage": "canon", "aggregation": "fixed", "methods": ()})


@dataclass
class CANON(Estimator):
    """CANON (arXiv 2509.23962): the group is sorted by a metric and halved (the lower half has n // 2 members);

        A = share * (R - mean of the other half) + (1 - share) * (R - mean of the own half).

    Attributes:
        metric: mean "entropy" of an episode's decisions, or "length" in turns.
        share: of the comparison with the other half, the paper's mu.
        alpha: Eq. 8: below 1 it favours one half. "entropy": the upper half gets R - alpha mean, the lower one
            alpha R - mean, in the comparison with the other half. "length": the roles swap.
        schedule: "constant"; "success": the own half's share is 1 - mean R; "cosine": it rises to 0.6 in 30 iterations,
            then falls and rises in three cosine cycles over 120.
    """

    ABOUT: ClassVar = About(
        "A = mu (R - mean of the other half) + (1 - mu) (R - mean of the own half), halves by entropy or length",
        "arXiv 2509.23962; code of biuboomc/CANON, core_algos.py",
        "the schedule's lowest value within a cycle (ours 0); its division by 8192 is Dr.GRPO's fixed divisor",
    )
    RANGES: ClassVar = {"share": Range(0, 1), "alpha": Range(0)}

    metric: Literal["entropy", "length"] = "entropy"
    share: float = 1.0
    alpha: float = 1.0
    schedule: Literal["constant", "success", "cosine"] = "constant"

    def other_share(self, iteration: int, success: float) -> float:
        """mu in this iteration."""
        if self.schedule == "constant":
            return self.share
        if self.schedule == "success":
            return min(1.0, max(0.0, success))
        if iteration < 30:
            return 1 - 0.6 * iteration / 30
        return 1 - 0.6 * (1 + math.cos(2 * math.pi * 3 * (iteration - 30) / 120)) / 2

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B]; exactly 0 in groups whose returns are equal, unless alpha is not 1."""
        returns = returns_of(batch)
        there = (batch.at >= 0).float()
        entropy = (batch.old_entropy * there).sum(1) / there.sum(1).clamp(min=1)
        metric = entropy if self.metric == "entropy" else batch.turns
        mu = self.other_share(iteration, float(returns.values.mean()))
        self.numbers["share"] = mu
        advantages = torch.zeros_like(returns.values)
        for number in batch.group.unique():
            rows = (batch.group == number).nonzero()[:, 0]
            rows = rows[metric[rows].argsort(stable=True)]
            lower, upper = rows[: len(rows) // 2], rows[len(rows) // 2 :]
            for own, other in ((lower, upper), (upper, lower)):
                mine, theirs = returns.values[own], returns.values[other].mean()
                favoured = (own is upper) == (self.metric == "entropy")
                between = mine - self.alpha * theirs if favoured else self.alpha * mine - theirs
                advantages[own] = mu * between + (1 - mu) * (mine - mine.mean())
        if self.alpha != 1:
            return advantages
        _, deviation, _ = group_mean_std(returns, batch.group)
        return torch.where(deviation == 0, 0.0, advantages)
