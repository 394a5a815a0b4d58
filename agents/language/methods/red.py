"""RED: reweighted data, by dropping losers or by weights that grow with the advantage."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import group_mean_std, returns_of
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Estimator, Plugin
from agentgym.contracts.settings import Range

__all__ = ["REDDrop", "REDWeight"]

SOURCE = "arXiv 2509.24203; code in R3L's copy of Trinity-RFT, rec_advantage.py"


@dataclass
class REDDrop(Estimator):
    """RED-Drop (arXiv 2509.24203): random losers leave a group until there are no more of them than winners.

    A = R - mean over those that are left. A group without winners keeps nobody.
    """

    ABOUT: ClassVar = About("random losers are dropped until losers <= winners; A = R - mean of the rest", SOURCE)

    def keep(self, batch: Batch) -> Tensor:
        """Everybody but the losers that were drawn."""
        kept = batch.won.clone()
        for number in batch.group.unique():
            losers = (batch.group == number) & ~batch.won
            places = losers.nonzero()[:, 0]
            order = torch.randperm(len(places), generator=self.generator).to(places.device)
            kept[places[order[: int((batch.won & (batch.group == number)).sum())]]] = True
        self.numbers["dropped"] = float((~kept).float().mean())
        return kept[:, None].expand_as(batch.mask)

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B], 0 for those that were dropped."""
        returns, kept = returns_of(batch), batch.mask.any(1)
        mean, _, _ = group_mean_std(returns, 2 * batch.group + kept)
        return torch.where(kept, returns.values - mean, 0.0)


@dataclass
class REDWeight(Plugin):
    """RED-Weight (arXiv 2509.24203): A <- A exp(A / temperature).

    Attributes:
        temperature: the smaller, the more large advantages weigh.
    """

    ABOUT: ClassVar = About("A <- A exp(A / temperature)", SOURCE)
    RANGES: ClassVar = {"temperature": Range(0, above=True)}

    temperature: float = 1.0

    def modulate(self, batch: Batch, advantages: Tensor) -> Tensor:
        """The formula above."""
        return advantages * (advantages / self.temperature).exp()
