"""DAPO (ByteDance): wider upper clipping, dynamic sampling of tasks, and a soft penalty on long episodes.

Not to be confused with Direct Advantage Policy Optimisation (arXiv 2412.18279), which is not implemented.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.rollout import Start
from agentgym.agents.language.loop.trajectory import Batch, Episode
from agentgym.agents.language.methods.plugin import About, Plugin, Rollouts
from agentgym.contracts.settings import Preset, Range
from agentgym.errors import InvalidParameter

__all__ = ["DAPO", "DynamicSampling", "Overlong"]

SOURCE = "arXiv 2503.14476; verl's recipe/dapo (copy in siren)"

DAPO = Preset(
    "DAPO (arXiv 2503.14476); methods overlong and dynamic-sampling, whose lengths depend on the environment",
    {"clip_low": 0.2, "clip_high": 0.28, "aggregation": "decisions", "methods": ("dynamic-sampling",)},
)


@dataclass
class DynamicSampling(Plugin):
    """Further tasks are played until enough of them have both successes and failures; only those are learned from.

    The filter is success, not the shaped return, which bonuses would keep apart in dead groups. If the rounds do not
    find enough, what was found is learned from (the released code stops with an error).

    Attributes:
        rounds: the most rounds of tasks an iteration, the first one included.
    """

    ABOUT: ClassVar = About(
        "tasks are played until as many as an iteration has show both success and failure; the others are dropped",
        SOURCE,
    )
    RANGES: ClassVar = {"rounds": Range(1)}

    rounds: int = 10

    def extend(
        self, iteration: int, episodes: Sequence[Episode], apart: Sequence[Episode], settings: LanguageConfig
    ) -> Rollouts | None:
        """As many further tasks as an iteration has."""
        groups = {episode.group for episode in episodes}
        live = _live(episodes)
        played = -(-len(groups) // settings.tasks)
        self.numbers |= {"rounds": float(played), "live": float(len(live))}
        if len(live) >= settings.tasks or played >= self.rounds:
            return None
        first = max(groups) + 1
        return Rollouts([Start(first + n) for n in range(settings.tasks) for _ in range(settings.group_size)])

    def keep(self, batch: Batch) -> Tensor:
        """The groups with successes and failures; leftovers are not limited, because they are paid for."""
        _, place = batch.group.unique(return_inverse=True)
        won = torch.zeros(int(place.max()) + 1, device=place.device).index_add(0, place, batch.won.float())
        lost = torch.zeros_like(won).index_add(0, place, (~batch.won).float())
        return ((won > 0) & (lost > 0))[place][:, None].expand_as(batch.mask)


def _live(episodes: Sequence[Episode]) -> set[int]:
    """Groups with both successes and failures."""
    won = {episode.group for episode in episodes if episode.won}
    return won & {episode.group for episode in episodes if not episode.won}


@dataclass
class Overlong(Plugin):
    """The last reward of an episode is changed by min(-(L - (limit - buffer)) / buffer, 0) for its length L.

    Attributes:
        limit: the longest length.
        buffer: over which the penalty rises to 1.
        unit: of L: sampled "tokens", or "turns".
        floor: lowest value of the penalty; None: no bound, as in the released code.
    """

    ABOUT: ClassVar = About("R <- R + min(-(L - (limit - buffer)) / buffer, 0)", SOURCE)
    PRESETS: ClassVar = {"paper": {"floor": -1.0}, "as_released": {"floor": None}}
    RANGES: ClassVar = {"limit": Range(1), "buffer": Range(1), "floor": Range(-1e9, 0)}

    limit: int = 20_480
    buffer: int = 4096
    unit: Literal["tokens", "turns"] = "tokens"
    floor: float | None = -1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.buffer > self.limit:
            raise InvalidParameter(f"Overlong: a buffer of {self.buffer} is longer than the limit of {self.limit}.")

    def penalties(self, lengths: Tensor) -> Tensor:
        """float [B] from lengths [B]."""
        penalties = (-(lengths - (self.limit - self.buffer)) / self.buffer).clamp(max=0)
        return penalties if self.floor is None else penalties.clamp(min=self.floor)

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Add the penalty."""
        lengths = batch.turns if self.unit == "turns" else batch.sampled.sum(1)
        batch.pay(self.penalties(lengths.float()))
