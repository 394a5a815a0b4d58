"""What a detector is: scores of each agent at each step, from what was recorded so far."""

from dataclasses import replace
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.errors import SpaceMismatch
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.team import Team

__all__ = ["Detector", "Fitted", "Floats", "held_out", "live_columns", "on_living"]

Floats = NDArray[np.float64]
HELD_OUT = 0.2
BLOCK = 64  # episodes scored at a time, so that activations stay in the processor's cache


class Detector(Protocol):
    """Scores of a team's agents; the larger, the more suspect.

    A score at step t depends on the episode up to step t alone, and not on other episodes.

    Attributes:
        name: of the detector.
    """

    name: ClassVar[str]

    def fit(self, clean: Episodes) -> Any:
        """Learn what is normal from clean episodes; returns the detector.

        Raises:
            InvalidParameter: the detector cannot work for this team or with so few episodes.
        """

    def score(self, episodes: Episodes) -> Floats:
        """Scores, float64 [E, T, A], at least 0, and 0 where an agent is not alive or there is nothing to compare.

        Raises:
            SpaceMismatch: the episodes are of other agents than those of the fit.
        """


class Fitted:
    """The base of detectors: the team, its live columns and the check that episodes are of the agents of the fit.

    Args:
        team: the team that played the episodes.
    """

    name: ClassVar[str]

    def __init__(self, team: Team) -> None:
        self.team = team
        self.live = np.arange(team.layout.windows.shape[1])

    def fit(self, clean: Episodes) -> Any:
        """See :class:`Detector`."""
        self.require_same(clean)
        self.live = live_columns(clean)
        self._fit(clean)
        return self

    def score(self, episodes: Episodes) -> Floats:
        """See :class:`Detector`."""
        self.require_same(episodes)
        alone = replace(episodes, twin=None)
        blocks = [alone.take(slice(at, at + BLOCK)) for at in range(0, len(episodes), BLOCK)]
        return np.concatenate([np.where(block.alive, self._score(block), 0.0) for block in blocks])

    def require_same(self, episodes: Episodes) -> None:
        """Refuse episodes of other agents."""
        layout = self.team.layout
        wanted, found = (
            (*layout.windows.shape, layout.width),
            (*episodes.received.shape[2:], episodes.executed.shape[-1]),
        )
        if wanted != found:
            raise SpaceMismatch(
                f"{self.name} is for {wanted[0]} agents with windows of {wanted[1]} and actions of {wanted[2]}; the "
                f"episodes have {found[0]} agents with {found[1]} and {found[2]}. Fit on episodes of this team."
            )

    def _fit(self, clean: Episodes) -> None:
        """Learn from clean episodes; nothing to learn by default."""

    def _score(self, episodes: Episodes) -> Floats:
        raise NotImplementedError


def live_columns(clean: Episodes) -> NDArray[np.int64]:
    """The columns of a window that change in clean episodes."""
    seen = clean.received[clean.alive]
    return np.flatnonzero(seen.max(0) > seen.min(0))


def held_out(clean: Episodes) -> tuple[Episodes, Episodes]:
    """Clean episodes for a model, and the last fifth of them for the scales of its scores."""
    return clean.split(len(clean) - max(1, round(HELD_OUT * len(clean))))


def on_living(episodes: Episodes, name: str) -> Tensor:
    """An array of the episodes as float64 [E * T, A, ...], with zeros where an agent is not alive."""
    values = torch.as_tensor(getattr(episodes, name)).double().flatten(0, 1)
    alive = torch.as_tensor(episodes.alive).flatten(0, 1).unsqueeze(-1)
    return torch.where(alive, values, 0.0)
