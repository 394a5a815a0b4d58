"""Random scores: what a detector that knows nothing reaches under the same guarantee."""

import zlib
from typing import ClassVar

import numpy as np

from agentgym.evaluation.forensics.detectors.base import Fitted, Floats
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.seeding import stream

__all__ = ["Chance"]


class Chance(Fitted):
    """Uniform scores, fixed by the first observation of the episode."""

    name: ClassVar[str] = "chance"

    def _score(self, episodes: Episodes) -> Floats:
        first = [zlib.crc32(np.ascontiguousarray(seen[0]).tobytes()) for seen in episodes.received]
        return np.stack([stream(key, "chance").random(episodes.alive.shape[1:]) for key in first])
