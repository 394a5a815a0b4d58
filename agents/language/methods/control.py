"""Reward controls: what learns from them does not learn from the reward."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin

__all__ = ["RewardControl"]


@dataclass
class RewardControl(Plugin):
    """All rewards are replaced by one at the end, after arXiv 2508.21188: success should not rise beyond noise.

    Methods that read success instead of rewards are told the same. The log's success is the true one.

    Attributes:
        kind: "random": 1 with probability one half, from the run's generator. "inverted": 1 for failures.
            "constant": 1 for all.
    """

    ABOUT: ClassVar = About(
        "R is random (1 with probability 1/2), inverted (1 - won) or constant",
        "arXiv 2508.21188; code of hkust-nlp/model-task-align-rl, syn_logic_reward.py",
        "majority, format, entropy and one-shot rewards of that code are not built",
    )

    kind: Literal["random", "inverted", "constant"] = "random"

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Replace rewards and success."""
        if self.kind == "random":
            told = (torch.rand(len(batch), generator=self.generator) >= 0.5).to(batch.won.device)
        else:
            told = ~batch.won if self.kind == "inverted" else torch.ones_like(batch.won)
        batch.rewards[:] = 0.0
        batch.pay(told.float())
        batch.won = told
