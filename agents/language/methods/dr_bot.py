"""Dr.BoT, the baseline of SPEAR: filters of episodes and groups, and a preset of GRPO with its other settings."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.groups import group_mean_std, returns_of
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin
from agentgym.contracts.settings import Preset, Range

__all__ = ["DR_BOT", "DrBoT"]

DR_BOT = Preset(
    "Dr.BoT (arXiv 2509.22601), SPEAR's baseline",
    {
        "advantage": "dr-grpo", "aggregation": "fixed", "clip_low": 0.2, "clip_high": 0.28, "clip_dual": 10.0,
        "methods": ("dr-bot",),
    },
)  # fmt: skip


@dataclass
class DrBoT(Plugin):
    """The filters of Dr.BoT (Qin et al., arXiv 2509.22601).

    Excluded from learning are episodes that are overlong, have a turn without any command, or repeat themselves, and
    the groups whose returns differ least. Dr.BoT's other settings are GRPO's preset ``dr-bot``.

    Attributes:
        groups: share of the groups to keep, those with the largest standard deviation of returns.
        repetitions: an episode is kept if every 20-gram of sampled tokens occurs less often than this.
    """

    ABOUT: ClassVar = About(
        "no overlong, void or repeating episodes; the 75 % of groups that differ most (--preset dr-bot)",
        "arXiv 2509.22601; code of SPEAR",
    )

    RANGES: ClassVar = {"groups": Range(0, 1, above=True), "repetitions": Range(1)}

    groups: float = 0.75
    repetitions: int = 10

    def keep(self, batch: Batch) -> Tensor:
        """The episodes that pass."""
        passing = batch.whole & ~batch.void & (batch.repeated < self.repetitions)
        _, deviation, _ = group_mean_std(returns_of(batch), batch.group)
        numbers, place = batch.group.unique(return_inverse=True)
        of_group = torch.zeros(len(numbers), device=deviation.device).scatter(0, place, deviation)
        count = max(1, round(self.groups * len(numbers)))
        best = torch.zeros(len(numbers), dtype=torch.bool, device=deviation.device)
        best[of_group.argsort(descending=True, stable=True)[:count]] = True
        passing = passing & best[place]
        self.numbers["dropped"] = float((~passing).float().mean())
        return passing[:, None].expand_as(batch.mask)
