"""Dr.GRPO: GRPO without division by the standard deviation or the episode's length (Liu et al., arXiv 2503.20783)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from agentgym.agents.language.loop.agent import LanguageAgent
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import relative_returns
from agentgym.agents.language.loop.surrogate import Aggregation
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Estimator

__all__ = ["DrGRPO", "DrGRPOConfig", "GroupCentred"]


@dataclass
class GroupCentred(Estimator):
    """A = R - mean of the group."""

    ABOUT: ClassVar = About("A = R - mean of the group", "arXiv 2503.20783")

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B]."""
        return relative_returns(batch, settings.group_statistics, divide=False)


@dataclass
class DrGRPOConfig(LanguageConfig):
    """Settings of Dr.GRPO: the losses of an episode are summed and divided by a fixed length."""

    advantage: str = "dr-grpo"  # an estimator, NAME or NAME:KEY=VALUE,KEY=VALUE: agentgym list estimators
    aggregation: Aggregation = "fixed"  # what the loss is a mean over


class DrGRPO(LanguageAgent):
    """GRPO done right (Liu et al., arXiv 2503.20783)."""

    catalog_name = "dr-grpo"
    Config: ClassVar[type[LanguageConfig]] = DrGRPOConfig
