"""Whose rewards fall behind those of clean episodes."""

from typing import ClassVar

import numpy as np

from agentgym.evaluation.forensics.detectors.base import Fitted, Floats
from agentgym.evaluation.forensics.detectors.taylor_low import moments
from agentgym.evaluation.forensics.episodes import Episodes

__all__ = ["ReturnDrop"]


class ReturnDrop(Fitted):
    """An agent's clean mean reward less its own, cumulated to the step before, in clean standard deviations."""

    name: ClassVar[str] = "return_drop"

    def _fit(self, clean: Episodes) -> None:
        self._mean, self._std = moments(np.where(clean.alive, self._so_far(clean), np.nan))

    def _so_far(self, episodes: Episodes) -> Floats:
        paid = np.where(episodes.alive, episodes.rewards, 0.0).cumsum(1)
        found = np.zeros_like(paid)
        found[:, 1:] = paid[:, :-1]
        return found

    def _score(self, episodes: Episodes) -> Floats:
        at = np.minimum(np.arange(episodes.steps), len(self._mean) - 1)
        found = np.maximum((self._mean[at] - self._so_far(episodes)) / self._std[at], 0.0)
        found[:, 0] = 0.0
        return found
