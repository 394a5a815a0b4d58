"""Low curvature: what a saturated policy shows under attack."""

from typing import ClassVar

import numpy as np

from agentgym.evaluation.forensics.detectors.base import Floats
from agentgym.evaluation.forensics.detectors.taylor_fixed import TaylorFixed
from agentgym.evaluation.forensics.episodes import Episodes

__all__ = ["TaylorLow"]

LEAST = 1e-16  # remainders below are rounding


class TaylorLow(TaylorFixed):
    """How many standard deviations -log10 of the remainder of :class:`TaylorFixed` lies over its clean mean.

    Mean and standard deviation are those of the step and the agent. Arguments as for :class:`TaylorFixed`.
    """

    name: ClassVar[str] = "taylor_low"

    def _fit(self, clean: Episodes) -> None:
        super()._fit(clean)
        low = np.where(clean.alive, self._low(clean), np.nan)
        self._mean, self._std = moments(low)

    def _low(self, episodes: Episodes) -> Floats:
        return -np.log10(np.maximum(super()._score(episodes), LEAST))

    def _score(self, episodes: Episodes) -> Floats:
        at = np.minimum(np.arange(episodes.steps), len(self._mean) - 1)
        return np.maximum((self._low(episodes) - self._mean[at]) / self._std[at], 0.0)


def moments(values: Floats, least: int = 30) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each step and agent [T, A] of values [E, T, A] with NaN where there is none.

    Steps with fewer than ``least`` values have those of all steps.
    """
    known = np.isfinite(values)
    count = known.sum(0)
    filled = np.where(known, values, 0.0)
    total, pooled = filled.sum(0), filled.sum() / max(known.sum(), 1)
    mean = np.where(count >= least, total / np.maximum(count, 1), pooled)
    apart = np.where(known, (values - mean) ** 2, 0.0)
    overall = np.where(known, (values - pooled) ** 2, 0.0).sum() / max(known.sum(), 1)
    variance = np.where(count >= least, apart.sum(0) / np.maximum(count, 1), overall)
    return mean, np.sqrt(np.maximum(variance, 1e-12 + 1e-6 * overall))
