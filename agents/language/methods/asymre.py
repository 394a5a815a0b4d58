"""AsymRE: REINFORCE with a baseline below the group's mean."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import relative_returns
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Estimator
from agentgym.contracts.settings import Preset

__all__ = ["ASYMRE_PRESET", "AsymRE"]

ASYMRE_PRESET = Preset("AsymRE (arXiv 2506.20520)", {"advantage": "asymre", "ratio": "none", "methods": ()})


@dataclass
class AsymRE(Estimator):
    """AsymRE (arXiv 2506.20520): A = R - (mean - shift) over the group, with the loss -A log p (``ratio="none"``).

    Groups that failed as a whole get A = shift: their likelihood is raised. It equals ``rec`` with the regulariser
    "forward-kl" and the coefficient ``shift``.

    Attributes:
        shift: how far the baseline lies below the mean.
    """

    ABOUT: ClassVar = About(
        "A = R - (mean - shift), shift 0.1; loss -A log p (--preset asymre)",
        "arXiv 2506.20520; code of Trinity-RFT (copy in R3L), asymre_advantage.py; its example sets tau 0",
    )

    shift: float = 0.1

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B]."""
        return relative_returns(batch, settings.group_statistics, divide=False) + self.shift
