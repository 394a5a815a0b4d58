"""GiGPO: group-in-group policy optimisation (Feng et al., arXiv 2505.10978).

    A = A_episode + step_weight * A_step

A_episode is GRPO's. A_step compares the discounted returns of all turns of a task that began in the same state.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.agent import LanguageAgent
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import EPSILON, Sums, group_mean_std, relative_returns
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Estimator

__all__ = ["GiGPO", "GiGPOConfig", "TwoLevels", "TwoLevelsCentred", "discounted"]


@dataclass
class TwoLevels(Estimator):
    """The sum of both advantages, each divided by the standard deviation of its group + 1e-6."""

    ABOUT: ClassVar = About("A = A_grpo + step_weight * the same over turns in equal states", "arXiv 2505.10978")
    DIVIDE: ClassVar[bool] = True

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B, T]."""
        return _two_levels(batch, settings, self.DIVIDE)


@dataclass
class TwoLevelsCentred(TwoLevels):
    """The sum of both advantages, without division by standard deviations."""

    ABOUT: ClassVar = About("as gigpo, without division by standard deviations", "arXiv 2505.10978")
    DIVIDE: ClassVar[bool] = False


def discounted(rewards: Tensor, gamma: float) -> Tensor:
    """Discounted return from each turn on, [B, T] from rewards [B, T]."""
    returns = torch.zeros_like(rewards)
    later = torch.zeros_like(rewards[:, 0])
    for turn in reversed(range(rewards.shape[1])):
        later = rewards[:, turn] + gamma * later
        returns[:, turn] = later
    return returns


def _two_levels(batch: Batch, settings: LanguageConfig, divide: bool) -> Tensor:
    """[B, T]; the step advantage is 0 in a state that only one turn visited."""
    played = batch.anchors >= 0
    states = batch.anchors + batch.group[:, None] * (batch.anchors.max() + 1)
    exact = batch.rewards.double()
    returns = Sums(*(discounted(rewards, settings.gamma)[played] for rewards in (batch.rewards, exact, exact.abs())))
    mean, std, _ = group_mean_std(returns, states[played])
    step = (returns.values - mean) / (std + EPSILON) if divide else returns.values - mean
    episode = relative_returns(batch, settings.group_statistics, divide)[:, None].expand_as(batch.rewards)
    return episode + settings.step_weight * torch.zeros_like(batch.rewards).masked_scatter(played, step)


@dataclass
class GiGPOConfig(LanguageConfig):
    """Settings of GiGPO."""

    advantage: str = "gigpo"  # an estimator, NAME or NAME:KEY=VALUE,KEY=VALUE: agentgym list estimators


class GiGPO(LanguageAgent):
    """Group-in-group policy optimisation (Feng et al., arXiv 2505.10978)."""

    catalog_name = "gigpo"
    Config: ClassVar[type[LanguageConfig]] = GiGPOConfig
