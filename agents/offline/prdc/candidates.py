"""Candidate lists: rows with near states, kept for frequently queried rows, and a test when they suffice.

A query of PRDC has the state of a dataset row. Let d be the distance from this state to its K-th nearest state, in the
scale of the keys. A row outside the K nearest has a key at distance d or more, whatever its action. So if the best of
the K is nearer than d, it is the nearest of all rows.
"""

import numpy as np
from numba import njit

from agentgym.agents.offline.prdc.tree import BoxTree, insert

__all__ = ["CandidateLists"]

SAMPLE = 64  # rows on which the price of a list is measured


class CandidateLists:
    """Lists of K rows with near states. A row gets a list once its queries have cost as much as a list costs.

    No row therefore costs more than twice the optimum with known numbers of queries. Costs are counts (see
    :meth:`BoxTree.search`), never times, so a resumed run builds the same lists.

    Args:
        tree: the tree of all keys.
        state_width: number of leading entries of a key that belong to the state.
        count: K.

    Attributes:
        price: the cost of a list, averaged over 64 rows spread over the dataset.
        rent: the tree's cost so far for each row, float32 ``[N]``; the only state that a run needs to keep.
    """

    def __init__(self, tree: BoxTree, state_width: int, count: int) -> None:
        self.tree, self.state_width = tree, state_width
        size = len(tree.keys)
        self.rent = np.zeros(size, np.float32)
        self.rows = np.empty((size, min(count, size)), np.int32)
        self.limits = np.full(size, -1.0)  # squared distance to the K-th nearest state; -1: no list
        self.price = float(self._nearest_states(np.linspace(0, size - 1, SAMPLE).astype(np.int64))[2].mean())

    def _nearest_states(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = np.full((len(rows), self.rows.shape[1]), -1)
        squares = np.full(found.shape, np.inf)
        cost = self.tree.search(self.tree.keys[rows], found, squares, self.state_width)
        return found, squares, cost

    def answer(self, queries: np.ndarray, at: np.ndarray, rows: np.ndarray, squares: np.ndarray) -> np.ndarray:
        """Fill in answers from the lists into ``rows`` and ``squares`` (see :meth:`BoxTree.search`).

        Args:
            queries: float32 ``[B, D]``, each with the state of its dataset row.
            at: the index of that row, int64 ``[B]``.

        Returns:
            Whether the answer is certain, bool ``[B]``.
        """
        due = np.unique(at[(self.rent[at] >= self.price) & (self.limits[at] < 0)])
        if len(due):
            found, distances, _ = self._nearest_states(due)
            self.rows[due], self.limits[due] = found, distances[:, -1]
        certain = np.zeros(len(at), bool)
        _best_listed(self.tree.keys, self.rows, self.limits, queries, at, rows, squares, certain)
        return certain

    def charge(self, at: np.ndarray, cost: np.ndarray) -> None:
        """Add the cost of the tree's answers for rows ``at``."""
        np.add.at(self.rent, at, cost.astype(np.float32))


@njit(cache=True, nogil=True)
def _best_listed(
    keys: np.ndarray, lists: np.ndarray, limits: np.ndarray, queries: np.ndarray, at: np.ndarray,
    rows: np.ndarray, squares: np.ndarray, certain: np.ndarray,
) -> None:  # fmt: skip
    last = rows.shape[1] - 1
    for b in range(len(queries)):
        if limits[at[b]] < 0:
            continue
        for row in lists[at[b]]:
            total = 0.0
            for d in range(queries.shape[1]):
                difference = np.float64(keys[row, d]) - np.float64(queries[b, d])
                total += difference * difference
                if total > squares[b, last]:
                    break
            if total <= squares[b, last]:
                insert(rows[b], squares[b], row, total)
        certain[b] = squares[b, last] < limits[at[b]]
