"""Exact nearest-neighbour search with a balanced tree of tight bounding boxes.

A k-d tree bounds the distance to a half by its splitting planes, which is loose in 20 dimensions. The smallest
box around each half costs one pass over its corners and excludes far more.

Distances are float64 sums of squares of float32 keys, added entry by entry, so every computation gives the same bits.
Among equal distances the smaller row comes first. The answer is therefore a function of the data alone, independent
of how it was found.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numba import njit

from agentgym.errors import InvalidParameter

__all__ = ["BoxTree"]

LEAF = 16  # maximum number of rows in a leaf
LEAF_COST = 5  # time of a leaf relative to that of a box, measured with 20 entries
THREADED = 100_000  # boxes of a search (about 5 ms) above which several threads are faster
LARGEST = 1e18  # bound of a key's entries, so that squares are finite in float32
REASSOCIATED = {"nnan", "ninf", "nsz", "contract", "arcp", "reassoc"}  # lets the compiler use vector registers


class BoxTree:
    """Finds the k nearest of N keys.

    Args:
        keys: float32 ``[N, D]``, not copied.

    Raises:
        InvalidParameter: a key's entry is not finite or beyond 1e18.
    """

    def __init__(self, keys: np.ndarray) -> None:
        if not np.abs(keys).max() < LARGEST:
            raise InvalidParameter("A key of the neighbour search is not finite or beyond 1e18: is beta too large?")
        self.keys = keys
        levels = max(0, int(np.ceil(np.log2(len(keys) / LEAF))))
        order, bounds = _order(keys, levels)
        slots = bounds[:-1, None] + np.arange(np.diff(bounds).max())
        there = slots < bounds[1:, None]
        self.members = np.where(there, order[np.minimum(slots, len(keys) - 1)], -1)  # rows, [leaves, LEAF]
        found = np.where(there[..., None], keys[self.members], np.float32(np.inf))
        self.leaves = np.ascontiguousarray(found.transpose(0, 2, 1))  # [leaves, D, LEAF]
        self.boxes = _boxes(self.leaves, there)
        self._latest = 0  # cost of the latest search

    def search(
        self, queries: np.ndarray, rows: np.ndarray, squares: np.ndarray, width: int | None = None
    ) -> np.ndarray:
        """Replace ``rows`` and ``squares`` in place by the k nearest keys of each query.

        Args:
            queries: float32 ``[B, D]``.
            rows: int64 ``[B, k]``, initial guesses in order of distance (good ones save time), then -1.
            squares: float64 ``[B, k]``, their squared distances, then infinity.
            width: use only the first ``width`` entries of keys and queries.

        Returns:
            The cost of each query, the number of boxes visited, int64 ``[B]``; it depends on the arguments alone.
        """
        cost = np.empty(len(queries), np.int64)
        width = queries.shape[1] if width is None else width
        threads = min(torch.get_num_threads(), max(1, len(queries) // 16)) if self._latest > THREADED else 1
        parts = zip(*(np.array_split(array, threads) for array in (queries, rows, squares, cost)), strict=True)

        def search(part: tuple[np.ndarray, ...]) -> None:
            _search(self.boxes, self.leaves, self.members, width, *part)

        if threads == 1:
            search(next(parts))
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(search, parts))
        self._latest = int(cost.sum())
        return cost


def _boxes(leaves: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Bounds of the entries below each node, ``[2 L - 1, 2, D]``. Node n has the children 2n + 1 and 2n + 2."""
    count, width, _ = leaves.shape
    boxes = np.empty((2 * count - 1, 2, width), np.float32)
    low, high = leaves.min(2), np.where(there[:, None], leaves, -np.inf).max(2)
    while True:
        boxes[count - 1 : 2 * count - 1, 0], boxes[count - 1 : 2 * count - 1, 1] = low, high
        if count == 1:
            return boxes
        low, high, count = low.reshape(-1, 2, width).min(1), high.reshape(-1, 2, width).max(1), count // 2


@njit(cache=True, nogil=True)
def _order(keys: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows ordered by leaf, and where each leaf begins. Halves split at the median of the most variable entry."""
    n, width = keys.shape
    leaves = 1 << levels
    rows, values = np.arange(n), np.empty(n, np.float32)
    bounds = np.array([(n * leaf) >> levels for leaf in range(leaves + 1)])
    for level in range(levels):
        size = leaves >> level
        for node in range(1 << level):
            first, last = bounds[node * size], bounds[(node + 1) * size]
            stride = max(1, (last - first) // 512)  # a sample is enough to find the most variable entry
            widest, entry = -1.0, 0
            for d in range(width):
                total, squared, count = 0.0, 0.0, 0
                for i in range(first, last, stride):
                    value = np.float64(keys[rows[i], d])
                    total, squared, count = total + value, squared + value * value, count + 1
                variance = squared / count - (total / count) ** 2
                if variance > widest:
                    widest, entry = variance, d
            for i in range(first, last):
                values[i] = keys[rows[i], entry]
            _select(values, rows, first, last - 1, bounds[node * size + size // 2])
    return rows, bounds


@njit(cache=True, nogil=True)
def _select(values: np.ndarray, rows: np.ndarray, first: int, last: int, place: int) -> None:
    """Reorder both from ``first`` to ``last`` so that ``place`` separates smaller from greater values (quickselect)."""
    while first < last:
        pivot = values[(first + last) // 2]
        i, j = first, last
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                rows[i], rows[j] = rows[j], rows[i]
                i, j = i + 1, j - 1
        if place <= j:
            last = j
        elif place >= i:
            first = i
        else:
            return


@njit(nogil=True, fastmath=REASSOCIATED)
def _to_box(query: np.ndarray, box: np.ndarray, width: int) -> np.float32:
    """Squared distance from a query to a box, in float32."""
    total = np.float32(0)
    for d in range(width):
        below, above = box[0, d] - query[d], query[d] - box[1, d]
        outside = below if below > above else above
        outside = outside if outside > np.float32(0) else np.float32(0)
        total += outside * outside
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _search(
    boxes: np.ndarray, leaves: np.ndarray, members: np.ndarray, width: int,
    queries: np.ndarray, rows: np.ndarray, squares: np.ndarray, cost: np.ndarray,
) -> None:  # fmt: skip
    """Depth-first search, nearer half first, which skips boxes farther than the current k-th row."""
    first_leaf, size, last = len(leaves) - 1, leaves.shape[2], rows.shape[1] - 1
    below = np.float32(1 - (width + 8) * 2.0**-22)  # exceeds the rounding error of a float32 bound
    waiting, bounds = np.empty(128, np.int64), np.empty(128, np.float32)
    sums = np.empty(size)
    for b in range(len(queries)):
        query, found, known = queries[b], squares[b], rows[b]
        looked, height = 0, 1
        waiting[0], bounds[0] = 0, 0.0
        while height:
            height -= 1
            if bounds[height] > found[last]:
                continue
            node = waiting[height]
            while 0 <= node < first_leaf:
                near, far = 2 * node + 1, 2 * node + 2
                to_near, to_far = _to_box(query, boxes[near], width), _to_box(query, boxes[far], width)
                looked += 2
                if to_far < to_near:
                    near, far, to_near, to_far = far, near, to_far, to_near
                if to_far * below <= found[last]:
                    waiting[height], bounds[height] = far, to_far * below
                    height += 1
                node = near if to_near * below <= found[last] else -1
            if node < 0:
                continue
            looked += LEAF_COST
            leaf = node - first_leaf
            sums[:] = 0.0
            for d in range(width):
                value, entries = np.float64(query[d]), leaves[leaf, d]
                for i in range(size):
                    difference = entries[i] - value
                    sums[i] += difference * difference
            for i in range(size):
                if sums[i] <= found[last] and members[leaf, i] >= 0:
                    insert(known, found, members[leaf, i], sums[i])
        cost[b] = looked


@njit(cache=True, nogil=True)
def insert(rows: np.ndarray, squares: np.ndarray, row: int, square: float) -> None:
    """Insert a row into a list ordered by distance, then row, unless it is in the list or too far."""
    last = len(rows) - 1
    if square > squares[last] or (square == squares[last] and row > rows[last] >= 0):
        return
    for place in range(last + 1):
        if rows[place] == row:
            return
    place = last
    while place and (square < squares[place - 1] or (square == squares[place - 1] and row < rows[place - 1])):
        rows[place], squares[place] = rows[place - 1], squares[place - 1]
        place -= 1
    rows[place], squares[place] = row, square
