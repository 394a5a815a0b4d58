"""The Mahalanobis norm of what an agent received, against clean episodes at the same step."""

from typing import ClassVar

import numpy as np

from agentgym.errors import InvalidParameter
from agentgym.evaluation.forensics.detectors.base import Fitted, Floats
from agentgym.evaluation.forensics.episodes import Episodes

__all__ = ["Mahalanobis"]

RIDGE = 1e-6  # of a column's own variance


class Mahalanobis(Fitted):
    """The norm of o_t - mean in units of the clean covariance of the step and the agent.

    Steps with too few clean episodes, and later ones than those of the fit, have the mean and covariance of all steps
    of the agent.
    """

    name: ClassVar[str] = "mahalanobis"

    def _fit(self, clean: Episodes) -> None:
        seen, width = clean.received[..., self.live].astype(np.float64), len(self.live)
        if clean.alive.sum((0, 1)).min() < 2 * width:
            raise InvalidParameter(
                f"mahalanobis needs at least {2 * width} clean steps of each agent for a covariance of {width} "
                "columns; play more clean episodes."
            )
        pooled = [_moments(seen[:, :, k][clean.alive[:, :, k]]) for k in range(clean.agents)]
        self._pooled = [np.stack(parts) for parts in zip(*pooled, strict=True)]
        rows = []
        for t in range(clean.steps):
            for k in range(clean.agents):
                own = seen[:, t, k][clean.alive[:, t, k]]
                rows.append(_moments(own) if len(own) >= 10 * width else pooled[k])
        shape = (clean.steps, clean.agents)
        mean, whitening = (np.stack(parts) for parts in zip(*rows, strict=True))
        self._mean, self._whitening = mean.reshape(*shape, width), whitening.reshape(*shape, width, width)

    def _score(self, episodes: Episodes) -> Floats:
        seen, known = episodes.received[..., self.live].astype(np.float64), len(self._mean)
        found = np.empty(episodes.alive.shape)
        for t in range(episodes.steps):
            mean, whitening = (self._mean[t], self._whitening[t]) if t < known else self._pooled
            white = np.einsum("eaf,afg->eag", seen[:, t] - mean, whitening)
            found[:, t] = np.sqrt((white**2).sum(-1))
        return found


def _moments(seen: Floats) -> tuple[Floats, Floats]:
    """The mean [L] and a matrix [L, L] that turns differences from it into standard ones."""
    mean = seen.mean(0)
    covariance = np.atleast_2d(np.cov(seen.T))
    covariance = covariance + np.diag(RIDGE * np.diag(covariance) + 1e-12)
    values, vectors = np.linalg.eigh(covariance)
    return mean, vectors / np.sqrt(np.maximum(values, 1e-15))
