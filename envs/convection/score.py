"""An episode in a few numbers that tell what control did from what the number of rolls did."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EpisodeScore"]


class EpisodeScore:
    """Nusselt number and pairs of rolls of N worlds, action by action.

    Args:
        count: N.
        actions: in an episode.
    """

    def __init__(self, count: int, actions: int) -> None:
        self.nusselt = np.full((count, actions), np.nan)
        self.pairs = np.zeros((count, actions), np.int64)

    def add(self, elapsed: NDArray[np.int64], chosen: NDArray[np.bool_], nusselt: Any, pairs: Any) -> None:
        """Note an action of the chosen worlds; ``elapsed`` [N] counts it already."""
        rows = np.flatnonzero(chosen)
        self.nusselt[rows, elapsed[rows] - 1] = nusselt[rows]
        self.pairs[rows, elapsed[rows] - 1] = pairs[rows]

    def measures(self, world: int, elapsed: int) -> dict[str, float]:
        """A finished episode.

        ``nusselt``: mean over the second half. ``one_pair``: 1 where there is one pair of rolls at the end.
        ``actions_to_one_pair``: how many actions until there is one pair for good. ``nusselt_one_pair``: mean from then
        on; ``nusselt_before``: mean until then, or over the whole episode. What has no value is left out: the first two
        where there never is one pair for good, the last where there is from the start.
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
