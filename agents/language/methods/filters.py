"""Which episodes to learn from: SimpleTIR's and Dr.BoT's filters; and the penalty on commands that cannot be done."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.plugins import Plugin
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.advantages import group_mean_std, returns_of
from agentgym.contracts.settings import Range

__all__ = ["DrBoT", "InvalidPenalty", "SimpleTIR"]


@dataclass
class SimpleTIR(Plugin):
    """A turn without any command ends the episode, and nothing of the whole episode is learned from (SimpleTIR, Xue et
    al., arXiv 2509.02479; there, a turn with neither a code block nor an answer).
    """

    STOP_AT_VOID: ClassVar[bool] = True

    def keep(self, batch: Batch) -> Tensor:
        """Episodes without void turns."""
        self.numbers["dropped"] = float(batch.void.float().mean())
        return (~batch.void)[:, None].expand_as(batch.mask)


@dataclass
class DrBoT(Plugin):
    """The filters of Dr.BoT, SPEAR's baseline (arXiv 2509.22601): nothing is learned from episodes that are overlong,
    have a void turn or repeat themselves, nor from the groups whose returns differ least.

    Dr.BoT's other parts are settings of the agent: GRPO's preset "dr-bot".

    Attributes:
        groups: the share of groups that are kept, those with the largest deviation of returns.
        repetitions: a 20-gram of sampled tokens may occur less often than this.
    """

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


@dataclass
class InvalidPenalty(Plugin):
    """Each turn whose command could not be carried out costs ``penalty``.

    With division by the groups' standard deviation it drives tiny policies into idle commands that are always possible:
    a group in which all fail then learns from nothing else.

    Attributes:
        penalty: 0.1 in verl-agent, on a success of 10.
    """

    RANGES: ClassVar = {"penalty": Range(0)}

    penalty: float = 0.01

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Subtract it."""
        there = torch.arange(batch.valid.shape[1], device=batch.turns.device) < batch.turns[:, None]
        batch.rewards -= self.penalty * (there & ~batch.valid)
