"""OPMD: REINFORCE against a group baseline, without ratios, as in Trinity-RFT."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import group_mean_std, returns_of
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Estimator, Terms
from agentgym.contracts.settings import Preset, Range

__all__ = ["OPMD", "OPMD_PRESET"]

OPMD_PRESET = Preset("OPMD of Trinity-RFT", {"advantage": "opmd", "ratio": "none", "methods": ()})


@dataclass
class OPMD(Estimator):
    """A = R - mean, or R - tau ln(mean exp(R / tau)), over the group; the loss is divided by 1 + tau.

    The released loss -A log p has no ratio: that is the setting ``ratio="none"``, which the preset ``opmd`` of GRPO
    has. What the REC paper calls "Kimi's OPMD" is another algorithm: ``rec:preset=kimi``.

    Attributes:
        baseline: "mean" or "log-mean-exp".
        tau: temperature.
    """

    ABOUT: ClassVar = About(
        "A = R - mean, or R - tau ln mean exp(R / tau); loss -A log p / (1 + tau), no ratio (--preset opmd)",
        "code of Trinity-RFT (copy in R3L), opmd_advantage.py, opmd_policy_loss.py",
    )
    RANGES: ClassVar = {"tau": Range(0, above=True)}

    baseline: Literal["mean", "log-mean-exp"] = "mean"
    tau: float = 1.0

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B]; exactly 0 in groups whose returns are equal."""
        returns = returns_of(batch)
        mean, deviation, count = group_mean_std(returns, batch.group)
        if self.baseline == "mean":
            return returns.values - mean
        _, place = batch.group.unique(return_inverse=True)
        scaled = returns.exact / self.tau
        highest = torch.full((int(place.max()) + 1,), -torch.inf, dtype=scaled.dtype, device=scaled.device)
        highest = highest.scatter_reduce(0, place, scaled, "amax")[place]
        raised = torch.zeros_like(highest).index_add(0, place, (scaled - highest).exp())[place]
        soft = self.tau * (highest + (raised / count).log())
        return torch.where(deviation == 0, 0.0, (returns.exact - soft).float())

    def surrogate(self, terms: Terms) -> Tensor:
        """Divided by 1 + tau."""
        return terms.loss / (1 + self.tau)
