"""Exact search for the dataset pairs nearest to (s, pi(s)), where s is the state of a dataset row."""

from typing import NamedTuple

import numpy as np

from agentgym.agents.offline.prdc.candidates import CandidateLists
from agentgym.agents.offline.prdc.tree import BoxTree

__all__ = ["NearestPairs", "Neighbours"]


class Neighbours(NamedTuple):
    """The answers to B queries.

    Attributes:
        rows: int64 ``[B, k]``, sorted by distance, then by row.
        distances: float64 ``[B, k]``, between keys.
        own: bool ``[B]``, True if no row is nearer than the query's own; then PRDC equals TD3+BC.
        listed: bool ``[B]``, True if the row had a candidate list.
        certified: bool ``[B]``, True if the list's answer was certain. All other answers are the tree's.
    """

    rows: np.ndarray
    distances: np.ndarray
    own: np.ndarray
    listed: np.ndarray
    certified: np.ndarray


class NearestPairs:
    """Finds the nearest rows by || [beta s, a] - [beta s', a'] ||.

    Args:
        states: normalised, float32 ``[N, S]``.
        actions: in [-1, 1], float32 ``[N, A]``.
        beta: weight of states relative to actions.
        neighbours: number of neighbours, k.
        candidates: K, rows per candidate list; 0: no lists.

    Attributes:
        lists: the candidate lists, or None.

    Raises:
        InvalidParameter: a key is not finite.
    """

    def __init__(
        self, states: np.ndarray, actions: np.ndarray, beta: float, neighbours: int = 1, candidates: int = 32
    ) -> None:
        self.state_width, self.neighbours = states.shape[1], neighbours
        self.tree = BoxTree(np.concatenate([np.float32(beta) * states, actions], 1, dtype=np.float32))
        self.lists = CandidateLists(self.tree, self.state_width, candidates) if candidates else None

    def nearest(self, at: np.ndarray, actions: np.ndarray) -> Neighbours:
        """The k nearest rows to (state of row ``at``, ``actions``).

        Args:
            at: int64 ``[B]``.
            actions: float32 ``[B, A]``.
        """
        queries = self.tree.keys[at]
        queries[:, self.state_width :] = actions
        own = _squares(queries, self.tree.keys[at])
        rows, squares = np.full((len(at), self.neighbours), -1), np.full((len(at), self.neighbours), np.inf)
        rows[:, 0], squares[:, 0] = at, own  # initial guess
        certified = np.zeros(len(at), bool)
        listed = certified
        if self.lists is not None:
            certified = self.lists.answer(queries, at, rows, squares)
            listed = self.lists.limits[at] >= 0
        left = np.flatnonzero(~certified)
        of_left = rows[left], squares[left]
        cost = self.tree.search(queries[left], *of_left)
        rows[left], squares[left] = of_left
        if self.lists is not None:
            unlisted = ~listed[left]
            self.lists.charge(at[left][unlisted], cost[unlisted])
        return Neighbours(rows, np.sqrt(squares), own == squares[:, 0], listed, certified)


def _squares(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Squared distances ``[B]``, summed in the same order as in the tree."""
    total = np.zeros(len(queries))
    for difference in (keys.astype(np.float64) - queries).T:
        total += difference * difference
    return total
