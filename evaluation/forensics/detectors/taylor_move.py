"""The Taylor remainder of the commitment cost along the move that an agent's observation made."""

from typing import ClassVar, Literal

import numpy as np
import torch

from agentgym.errors import UnknownId
from agentgym.evaluation.forensics.detectors.base import Fitted, Floats, on_living
from agentgym.evaluation.forensics.detectors.cost import commitment, remainder, require_curvature
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.team import Team
from agentgym.seeding import stream

__all__ = ["TaylorMove"]

PROBE = 0.05  # norm of the probes for curvature


class TaylorMove(Fitted):
    """abs(L) with eta = o_t - o_(t-1): at o_(t-1) towards o_t ("previous"), or at o_t towards o_(t-1) ("current").

    The commitment is that of the observation at which the cost is expanded.

    Args:
        team: the team that played the episodes.
        at: where the cost is expanded.
        first: the slope grad J . eta instead of the remainder, as a control.
    """

    name: ClassVar[str] = "taylor_move"

    def __init__(self, team: Team, at: Literal["previous", "current"] = "previous", first: bool = False) -> None:
        super().__init__(team)
        if at not in ("previous", "current"):
            raise UnknownId("place of expansion", str(at), ("previous", "current"))
        self.at, self.first = at, first

    def _fit(self, clean: Episodes) -> None:
        if not self.first and clean.steps > 1:
            windows = on_living(clean.take(slice(32)), "received")
            drawn = torch.as_tensor(stream(0, "probes").standard_normal(windows.shape))
            moves = PROBE * torch.nn.functional.normalize(drawn, dim=-1)
            require_curvature(self.team, windows, moves.unsqueeze(0), self.name)

    def _score(self, episodes: Episodes) -> Floats:
        found = np.zeros(episodes.alive.shape)
        if episodes.steps < 2:
            return found
        seen = on_living(episodes, "received").unflatten(0, episodes.alive.shape[:2])
        before, after = seen[:, :-1].flatten(0, 1), seen[:, 1:].flatten(0, 1)
        start, end = (before, after) if self.at == "previous" else (after, before)
        left, along = remainder(self.team, start, commitment(self.team, start), (end - start).unsqueeze(0))
        score = (along if self.first else left).abs()[0].numpy()
        both = episodes.alive[:, 1:] & episodes.alive[:, :-1]
        found[:, 1:] = np.where(both, score.reshape(both.shape), 0.0)
        return found
