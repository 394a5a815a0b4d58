"""A penalty on commands that the environment could not carry out."""

from dataclasses import dataclass
from typing import ClassVar

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin
from agentgym.contracts.settings import Range

__all__ = ["InvalidPenalty"]


@dataclass
class InvalidPenalty(Plugin):
    """r <- r - penalty for each turn whose command could not be carried out, as in verl-agent.

    With division by the group's standard deviation this can drive tiny policies to commands that are always valid and
    achieve nothing, because a group in which all episodes fail has no other signal.

    Attributes:
        penalty: 0.1 in verl-agent, where success is worth 10.
    """

    ABOUT: ClassVar = About("r - penalty for a turn whose command could not be carried out", "code of verl-agent")

    RANGES: ClassVar = {"penalty": Range(0)}

    penalty: float = 0.01

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Subtract the penalty."""
        batch.rewards -= self.penalty * (batch.played & ~batch.valid)
