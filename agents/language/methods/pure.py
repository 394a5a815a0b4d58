"""PURE: credit by the worst step."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import EPSILON
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.gigpo import discounted
from agentgym.agents.language.methods.plugin import About, Estimator
from agentgym.contracts.settings import Range

__all__ = ["PURE", "min_form"]


def min_form(rewards: Tensor, played: Tensor, temperature: float) -> Tensor:
    """softmax(-c / temperature) c over the turns of each episode, [B, T] from process rewards c [B, T]."""
    weights = torch.where(played, -rewards / temperature, -torch.inf).softmax(1)
    return torch.where(played, weights * rewards, 0.0)


@dataclass
class PURE(Estimator):
    """PURE (repository CJReinforce/PURE): the advantage of a turn is the sum, from it on, of

        c~ - baseline, and at the last turn + coefficient (won - mean of the group's others),

    where c~ = softmax(-c / temperature) c weighs the worst process reward c most. Process rewards are the turns'
    rewards without that of success; environments with rewards for success only have none, and what is left is RLOO.
    After the worst turn later mistakes are almost free.

    Attributes:
        temperature: of the softmax.
        coefficient: of success; 0 without.
        baseline: "decision": c~ per decision of the group's other episodes, times the turn's decisions. "none".
    """

    ABOUT: ClassVar = About(
        "A of a turn: rewards-to-go of softmax(-c / 0.1) c - baseline, plus success minus the others' mean",
        "code of CJReinforce/PURE, experience_maker.py, utils.py",
        "separator tokens, which get A = 0 in the code, do not exist here",
    )
    RANGES: ClassVar = {"temperature": Range(0, above=True), "coefficient": Range(0)}

    temperature: float = 0.1
    coefficient: float = 1.0
    baseline: Literal["decision", "none"] = "decision"

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B, T]."""
        played, won = batch.played, batch.won.float()
        last = torch.zeros_like(batch.rewards).scatter(1, (batch.turns - 1)[:, None], 1.0)
        formed = min_form(batch.rewards - last * won[:, None], played, self.temperature)
        formed = torch.where(formed.abs() < EPSILON, 0.0, formed)  # rounding of bonuses is no process reward
        counts = torch.zeros_like(batch.rewards).scatter_add(1, batch.turn, (batch.at >= 0).float())
        if self.baseline == "decision":
            per_decision = formed.sum(1) / counts.sum(1).clamp(min=1)
            formed = formed - _others_mean(per_decision, batch.group)[:, None] * counts
        outcome = self.coefficient * (won - _others_mean(won, batch.group))
        return torch.where(played, discounted(formed + last * outcome[:, None], 1.0), 0.0)


def _others_mean(values: Tensor, group: Tensor) -> Tensor:
    """The mean over the group's other members, [n]; the own value in a group of one."""
    _, place = group.unique(return_inverse=True)
    sums = torch.zeros(int(place.max()) + 1, dtype=values.dtype, device=values.device).index_add(0, place, values)
    counts = place.bincount()[place]
    return torch.where(counts > 1, (sums[place] - values) / (counts - 1).clamp(min=1), values)
