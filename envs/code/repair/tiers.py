"""Tiers of difficulty."""

from dataclasses import dataclass

from agentgym.contracts.settings import Range, check_settings
from agentgym.errors import InvalidParameter

__all__ = ["TIERS", "Tier"]


@dataclass(frozen=True)
class Tier:
    """Size and rules of the tasks.

    Attributes:
        faults: 1 or 2, in different functions.
        candidates: number of edits on offer, the repairs among them.
        hopeless: probability that the repairs are not among them, so that no edit solves the task.
        cost: what a turn costs of the reward of 1.
        max_turns: commands after which an episode is truncated.
        misleading: least share of the failing tests whose failure names a function that has no fault.
    """

    faults: int
    candidates: int
    hopeless: float
    cost: float
    max_turns: int
    misleading: float = 0.0

    def check(self) -> None:
        """Check the values.

        Raises:
            InvalidParameter: one is out of range, or there are fewer candidates than faults need.
        """
        ranges = {
            "faults": Range(1, 2), "candidates": Range(2, 20), "hopeless": Range(0, 1), "cost": Range(0, 1),
            "max_turns": Range(1, 10_000), "misleading": Range(0, 1),
        }  # fmt: skip
        check_settings(self, ranges, "the tier")
        if self.faults == 2 and self.candidates > 10:
            raise InvalidParameter(f"Two faults have at most 10 candidates, not {self.candidates}.")
        if self.max_turns * self.cost > 1:
            raise InvalidParameter("max_turns times cost must not exceed 1: a solved task would be worth less than 0.")


TIERS = {
    "easy": Tier(faults=1, candidates=10, hopeless=0.0, cost=0.01, max_turns=20),
    "medium": Tier(faults=1, candidates=20, hopeless=0.25, cost=0.01, max_turns=40),
    "hard": Tier(faults=2, candidates=10, hopeless=0.0, cost=0.01, max_turns=40),
}
