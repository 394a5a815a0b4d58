"""RLOO: REINFORCE leave-one-out (Ahmadian et al., arXiv 2402.14740)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from agentgym.agents.language.loop.agent import LanguageAgent
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import group_mean_std, returns_of
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Estimator

__all__ = ["RLOO", "LeaveOneOut", "RLOOConfig"]


@dataclass
class LeaveOneOut(Estimator):
    """A = R - mean of the other episodes of the group; 0 in a group of one."""

    ABOUT: ClassVar = About("A = R - mean of the group's other episodes", "arXiv 2402.14740")

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B]."""
        returns = returns_of(batch)
        mean, _, size = group_mean_std(returns, batch.group)
        return (returns.values - mean) * size / (size - 1).clamp(min=1)


@dataclass
class RLOOConfig(LanguageConfig):
    """Settings of RLOO."""

    advantage: str = "rloo"  # an estimator, NAME or NAME:KEY=VALUE,KEY=VALUE: agentgym list estimators


class RLOO(LanguageAgent):
    """REINFORCE leave-one-out (Ahmadian et al., arXiv 2402.14740)."""

    catalog_name = "rloo"
    Config: ClassVar[type[LanguageConfig]] = RLOOConfig
