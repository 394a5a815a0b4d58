"""Measures of an episode that separate the effect of control from that of the number of rolls."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EpisodeScore"]


class EpisodeScore:
    """Records the Nusselt number and the pairs of rolls of N worlds at every action.

    Args:
        count: number of worlds, N.
        actions: number of actions in an episode.
    """

    def __init__(self, count: int, actions: int) -> None:
        self.nusselt = np.full((count, actions), np.nan)
        self.pairs = np.zeros((count, actions), np.int64)

    def add(self, elapsed: NDArray[np.int64], chosen: NDArray[np.bool_], nusselt: Any, pairs: Any) -> None:
        """Record an action of the chosen worlds; ``elapsed`` [N] includes it."""
        rows = np.flatnonzero(chosen)
        self.nusselt[rows, elapsed[rows] - 1] = nusselt[rows]
        self.pairs[rows, elapsed[rows] - 1] = pairs[rows]

    def measures(self, world: int, elapsed: int) -> dict[str, float]:
        """The measures of a finished episode.

        ``nusselt``: mean over the second half. ``one_pair``: 1 if there is one pair of rolls at the end.
        ``actions_to_one_pair``: number of actions until one pair remains. ``nusselt_one_pair``: mean from then on.
        ``nusselt_before``: mean until then, or over the whole episode. Measures without a value are omitted:
        ``actions_to_one_pair`` and ``nusselt_one_pair`` if no single pair remains, ``nusselt_before`` if there is one
        from the start.
        """
        nusselt, pairs = self.nusselt[world, :elapsed], self.pairs[world, :elapsed]
        others = np.flatnonzero(pairs != 1)
        since = int(others[-1]) + 1 if len(others) else 0
        merged = since < elapsed
        found = {"nusselt": float(nusselt[elapsed // 2 :].mean()), "one_pair": float(merged)}
        if merged:
            found |= {"actions_to_one_pair": float(since), "nusselt_one_pair": float(nusselt[since:].mean())}
        if since:
            found["nusselt_before"] = float(nusselt[:since].mean())
        return found
