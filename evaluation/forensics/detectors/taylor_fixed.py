"""The Taylor remainder of the commitment cost for probes of fixed size: the published first stage, as reviewed."""

from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import UnknownId
from agentgym.evaluation.forensics.detectors.base import Fitted, Floats, on_living
from agentgym.evaluation.forensics.detectors.cost import commitment, remainder, require_curvature, slope
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.team import Team
from agentgym.seeding import stream

__all__ = ["TaylorFixed"]


class TaylorFixed(Fitted):
    """abs(J(o + eta) - J(o) - grad J . eta), a mean over random eta of one norm, or with eta along the gradient.

    It flags agents whose decision bends under small changes of what they see. Attacked inputs usually lie where the
    policy is saturated and bends less, so it misses most faults; :class:`TaylorLow` looks for that.

    Args:
        team: the team that played the episodes.
        size: norm of eta, in the observation's units.
        probes: random directions.
        along: "sphere" or "gradient".
        seed: of the directions, which are the same for all episodes.
    """

    name: ClassVar[str] = "taylor_fixed"

    def __init__(
        self, team: Team, size: float = 0.05, probes: int = 4, along: Literal["sphere", "gradient"] = "sphere",
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(team)
        self.size, self.probes = finite_number("size", size, 0.0, above=True), whole_number("probes", probes, 1)
        if along not in ("sphere", "gradient"):
            raise UnknownId("probe", str(along), ("sphere", "gradient"))
        self.along, self.seed = along, whole_number("seed", seed, 0)

    def _fit(self, clean: Episodes) -> None:
        some = clean.take(slice(32))
        require_curvature(self.team, on_living(some, "received"), self._moves(some), self.name)

    def _moves(self, episodes: Episodes) -> Tensor:
        """eta [K, E * T, A, F]; of a step and an agent, the same in every episode."""
        shape = (self.probes, episodes.agents, len(self.live))
        drawn = np.stack([stream(self.seed, "probes", t).standard_normal(shape) for t in range(episodes.steps)], axis=1)
        unit = drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)
        moves = torch.zeros((self.probes, episodes.steps, episodes.agents, episodes.received.shape[-1])).double()
        moves[..., self.live] = torch.as_tensor(self.size * unit)
        return moves.unsqueeze(1).expand(-1, len(episodes), -1, -1, -1).flatten(1, 2)

    def _score(self, episodes: Episodes) -> Floats:
        windows = on_living(episodes, "received")
        tau = commitment(self.team, windows)
        if self.along == "sphere":
            moves = self._moves(episodes)
        else:
            _, gradient = slope(self.team, windows, tau)
            moves = self.size * torch.nn.functional.normalize(gradient, dim=-1).unsqueeze(0)
        found, _ = remainder(self.team, windows, tau, moves)
        return found.abs().mean(0).numpy().reshape(episodes.alive.shape)
