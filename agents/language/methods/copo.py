"""COPO: groups that agree learn from how their task compares with the others."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import EPSILON, group_mean_std, relative_returns, returns_of
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Estimator, Terms
from agentgym.contracts.settings import Range

__all__ = ["COPO", "answer_entropy"]


def answer_entropy(answers: Tensor) -> float:
    """Entropy in bits of the distribution of integers [n]."""
    shares = answers.unique(return_counts=True)[1].double() / len(answers)
    return float(-(shares * shares.log2()).sum())


@dataclass
class COPO(Estimator):
    """COPO (arXiv 2508.04138): the loss is w L(A) + (1 - w) L(A_g), two clipped losses.

    A is GRPO's advantage. A_g = (p - mean p) / (std p + 1e-6), over tasks, of the group's mean return p. The weight
    is w = sigmoid(slope (H - centre)), H the entropy in bits of the group's answers; 0 where all A are 0. A world has
    no answer: an episode's is whether it won and in which state it gave its last command.

    Attributes:
        slope, centre: of the weight.
    """

    ABOUT: ClassVar = About(
        "loss w L(A_grpo) + (1 - w) L(A_g), A_g standardised over tasks, w = sigmoid(20 (H - centre)), H in bits",
        "arXiv 2508.04138; code of hijih/copo-code, core_algos.py",
        "centre: the scripts have 0.5, the paper's best is said to be 1.5",
    )
    PRESETS: ClassVar = {"paper": {"centre": 1.5}, "as_released": {"centre": 0.5}}
    RANGES: ClassVar = {"slope": Range(0)}

    slope: float = 20.0
    centre: float = 0.5
    of_groups: dict[int, tuple[float, float]] = field(default_factory=dict, init=False)  # group: w and A_g

    def weight(self, entropy: float) -> float:
        """w."""
        return float(torch.sigmoid(torch.tensor(self.slope * (entropy - self.centre), dtype=torch.float64)))

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """A, and A_g in groups whose A are all 0, [B]."""
        local = relative_returns(batch, settings.group_statistics, divide=True)
        means, _, _ = group_mean_std(returns_of(batch), batch.group)
        numbers = batch.group.unique()
        firsts = torch.stack([(batch.group == number).nonzero()[0, 0] for number in numbers])
        rates = means[firsts]
        spread = rates.std() if len(rates) > 1 else torch.zeros_like(rates[0])
        worlds = (rates - rates.mean()) / (spread + EPSILON)
        last = batch.anchors.gather(1, (batch.turns - 1)[:, None])[:, 0] * 2 + batch.won
        out, of_groups = local.clone(), {}
        for number, advantage in zip(numbers.tolist(), worlds.tolist(), strict=True):
            rows = batch.group == number
            weight = self.weight(answer_entropy(last[rows])) if bool(local[rows].any()) else 0.0
            of_groups[number] = (weight, advantage)
            if weight == 0:
                out[rows] = advantage
        self.of_groups = {**of_groups, **self.of_groups}  # a batch played apart does not change the groups' own
        self.numbers["weight"] = sum(weight for weight, _ in of_groups.values()) / len(numbers)
        return out

    def finish(self, batch: Batch, iteration: int) -> None:
        """Forget the groups."""
        self.of_groups = {}

    def surrogate(self, terms: Terms) -> Tensor:
        """Both losses, weighted."""
        pairs = [self.of_groups[number] for number in terms.batch.group.tolist()]
        weight, world = torch.tensor(pairs, device=terms.loss.device).T
        other, _ = terms.clipped_loss(world[:, None].expand_as(terms.loss))
        return weight[:, None] * terms.loss + (1 - weight[:, None]) * other
