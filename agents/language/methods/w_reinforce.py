"""PSR, NSR and W-REINFORCE: reinforcement from successes, from failures, or from both with weights."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Estimator

__all__ = ["WeightedReinforce"]


@dataclass
class WeightedReinforce(Estimator):
    """A = win for episodes that succeeded, A = lose for the others, without a baseline; 0 excludes them from learning.

    The paper's objective is REINFORCE (``ratio="none"``); its code has PPO's clipped ratio with range 0.2. Failures
    alone (NSR) have no fixed point once all fail, and entropy can run away. Shaped rewards do not count, only success.

    Attributes:
        win: the paper's lambda.
        lose: of failures.
    """

    ABOUT: ClassVar = About(
        "A = win if won else lose, without baseline; 0: not learned from. Presets psr (1, 0), nsr (0, -1), weighted",
        "code of TianHongZXY/RLVR-Decomposed, core_algos.py",
        "paper (REINFORCE) and code (PPO's clipped ratio, 0.2) differ; the ratio is a setting of its own",
    )
    PRESETS: ClassVar = {
        "psr": {"win": 1.0, "lose": 0.0},
        "nsr": {"win": 0.0, "lose": -1.0},
        "weighted": {"win": 0.1, "lose": -1.0},
    }

    win: float = 0.1
    lose: float = -1.0

    def keep(self, batch: Batch) -> Tensor:
        """Those with a weight, so that means are over them only, as in the code."""
        return (torch.where(batch.won, self.win, self.lose) != 0)[:, None].expand_as(batch.mask)

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B]."""
        return torch.where(batch.won, self.win, self.lose)
