"""How far an agent's observation moved in one step."""

from typing import ClassVar

import numpy as np

from agentgym.evaluation.forensics.detectors.base import Fitted, Floats
from agentgym.evaluation.forensics.episodes import Episodes

__all__ = ["Jump"]


class Jump(Fitted):
    """The norm of o_t - o_(t-1) over live columns."""

    name: ClassVar[str] = "jump"

    def _score(self, episodes: Episodes) -> Floats:
        seen, found = episodes.received[..., self.live].astype(np.float64), np.zeros(episodes.alive.shape)
        both = episodes.alive[:, 1:] & episodes.alive[:, :-1]
        found[:, 1:] = np.where(both, np.linalg.norm(np.diff(seen, axis=1), axis=-1), 0.0)
        return found
