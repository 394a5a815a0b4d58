"""Several detectors as one: whichever is furthest over its clean maximum."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.settings import finite_number
from agentgym.errors import InvalidParameter, ResetNeeded
from agentgym.evaluation.forensics.detectors.base import Detector, Floats, held_out
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.monitor import scales_of

__all__ = ["Combined"]


class Combined:
    """The maximum over detectors of scores in units of each agent's scale and of the clean threshold for alpha.

    The residual of the dynamics sees faults of observations and actions, the gap to the policy those of actions and
    weights; together they see all faults that change behaviour.

    Args:
        members: detectors.
        alpha: of the members' thresholds, which only weigh them against each other; a monitor gives the guarantee.
        scaling: of the members, see :class:`~agentgym.evaluation.forensics.monitor.Monitor`.
    """

    name: ClassVar[str] = "combined"

    def __init__(self, members: Sequence[Detector], alpha: float = 0.05, scaling: str = "agent") -> None:
        if not members:
            raise InvalidParameter("combined needs at least one detector.")
        self.members, self.scaling = list(members), scaling
        self.alpha = finite_number("alpha", alpha, 0.0, 1.0, above=True)
        self._units: list[Floats] = []

    def fit(self, clean: Episodes) -> Any:
        """Fit the members, and their units on the last fifth of the episodes."""
        _, rest = held_out(clean)
        self._units = []
        for member in self.members:
            member.fit(clean)
            scores = member.score(rest)
            scales = scales_of(scores, rest.alive, self.scaling)
            largest = (scores / scales)[:, 1:].max((1, 2))
            self._units.append(scales * max(float(np.quantile(largest, 1 - self.alpha)), 1e-12))
        return self

    def score(self, episodes: Episodes) -> Floats:
        """Scores, float64 [E, T, A]; about 1 is the largest of an ordinary episode."""
        found: Floats = self._each(episodes).max(0)
        return found

    def which(self, episodes: Episodes) -> NDArray[np.int64]:
        """The index of the member behind each score, int64 [E, T, A]: the evidence."""
        return self._each(episodes).argmax(0)

    def _each(self, episodes: Episodes) -> Floats:
        if len(self._units) < len(self.members):
            raise ResetNeeded("combined is not fitted: call fit() with clean episodes first.")
        return np.stack(
            [m.score(episodes) / unit[: episodes.steps] for m, unit in zip(self.members, self._units, strict=True)]
        )
