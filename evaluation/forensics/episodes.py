"""Recorded episodes of a team: what the agents received, commanded, executed and earned, and the truth if known."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.finite import require_finite
from agentgym.errors import InvalidParameter
from agentgym.evaluation.attacks.team import Truth

__all__ = ["Episodes"]

Floats = NDArray[np.float32]
PER_AGENT = ("received", "commanded", "executed", "rewards", "alive")


@dataclass(frozen=True, eq=False)
class Episodes:
    """E episodes of a team of A agents, padded to T steps. Entries where an agent is not alive mean nothing.

    Step t is: the agents receive ``received[:, t]``, command ``commanded[:, t]``, the environment executes
    ``executed[:, t]`` and pays ``rewards[:, t]``. Actions are a learner's: one-hot for choices, in [-1, 1] for a Box.

    Attributes:
        received: windows that the agents acted upon, float32 [E, T, A, F].
        commanded, executed: float32 [E, T, A, a].
        rewards: float64 [E, T, A].
        alive: who acts in a step, bool [E, T, A]; False after the end of an episode.
        true: windows without faults and noise, float32 [E, T, A, F]; None if unknown.
        seeds: of the episodes, int64 [E]; None if unknown.
        fault: the name of the fault, "" if there is none or it is unknown.
        truth: victims (-1 for all agents), onsets, durations and sizes; None without a fault or if unknown.
        twin: the same episodes without the fault; None if unknown. What differs before the onset is nothing.

    Raises:
        InvalidParameter: shapes do not fit together.
        NonFinite: what an agent that is alive received, did or earned is not finite.
    """

    received: Floats
    commanded: Floats
    executed: Floats
    rewards: NDArray[np.float64]
    alive: NDArray[np.bool_]
    true: Floats | None = None
    seeds: NDArray[np.int64] | None = None
    fault: str = ""
    truth: Truth | None = None
    twin: "Episodes | None" = None

    def __post_init__(self) -> None:
        if self.received.ndim != 4 or not self.received.size:
            raise InvalidParameter(
                f"Episodes need received windows [episodes, steps, agents, F], not {self.received.shape}."
            )
        front = self.received.shape[:3]
        for name in PER_AGENT:
            if getattr(self, name).shape[:3] != front:
                raise InvalidParameter(
                    f"Episodes have {name} {list(getattr(self, name).shape)}, which does not begin with {list(front)} "
                    "(episodes, steps, agents)."
                )
        if self.commanded.shape != self.executed.shape or self.commanded.ndim != 4:
            raise InvalidParameter(
                f"Commanded and executed actions must be [E, T, A, a], not {self.commanded.shape} and "
                f"{self.executed.shape}."
            )
        for name in ("received", "commanded", "executed", "rewards"):
            require_finite(f"In the episodes, {name} of a living agent", getattr(self, name)[self.alive])
        for name in ("seeds", "twin"):
            other = getattr(self, name)
            if other is not None and len(other) != len(self):
                raise InvalidParameter(f"There are {len(other)} {name} for {len(self)} episodes.")
        if self.truth is not None and len(self.truth.victim) != len(self):
            raise InvalidParameter(f"The truth is of {len(self.truth.victim)} episodes, not {len(self)}.")

    def __len__(self) -> int:
        return len(self.received)

    @property
    def steps(self) -> int:
        """T."""
        return self.received.shape[1]

    @property
    def agents(self) -> int:
        """A."""
        return self.received.shape[2]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps until the last agent has left, int64 [E]."""
        found: NDArray[np.int64] = self.alive.any(2).sum(1)
        return found

    @property
    def returns(self) -> NDArray[np.float64]:
        """The sum of all agents' rewards, float64 [E]."""
        found: NDArray[np.float64] = np.where(self.alive, self.rewards, 0.0).sum((1, 2))
        return found

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Self:
        """Some of the episodes."""
        truth, twin = self.truth, self.twin
        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        arrays: dict[str, Any] = {name: part[index] for name, part in parts.items() if isinstance(part, np.ndarray)}
        if truth is not None:
            arrays["truth"] = Truth(*(getattr(truth, each.name)[index] for each in fields(truth)))
        if twin is not None:
            arrays["twin"] = twin.take(index)
        return replace(self, **arrays)

    def split(self, first: int) -> tuple[Self, Self]:
        """The first so many episodes, and the others."""
        return self.take(slice(first)), self.take(slice(first, None))
