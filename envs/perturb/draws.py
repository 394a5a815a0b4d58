"""Random numbers for a batch of worlds, each from its own generator."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.perturb.signal import ALL, Worlds
from agentgym.seeding import restore, state_of

__all__ = ["Draws"]

DrawRows = Callable[[np.random.Generator, int], NDArray[Any]]


class Draws:
    """One row of random numbers per world and event, drawn in blocks.

    The n-th row of a world depends only on its own generator and n, not on other worlds or on the order of calls.

    Args:
        worlds: how many worlds there are.
        shape: shape of a row.
        draw: ``(generator, n) -> [n, *shape]``, equal to n calls of one row each.
        dtype: dtype of the rows.
    """

    _AHEAD = 2048  # numbers drawn at a time per world: a block costs a few microseconds and fits into the cache

    def __init__(
        self, worlds: int, shape: tuple[int, ...], draw: DrawRows, dtype: np.dtype[Any] | type = np.float64
    ) -> None:
        self._rows = int(np.clip(self._AHEAD // max(1, int(np.prod(shape))), 1, 64))
        self._draw = draw
        self._blocks = np.zeros((self._rows, worlds, *shape), dtype)
        self._generators: list[np.random.Generator | None] = [None] * worlds
        self._index = np.arange(worlds)
        self._next = np.full(worlds, self._rows)
        self._together: int | None = None  # the index of the next row, if it is the same for all worlds

    def reseed(self, world: int, generator: np.random.Generator) -> None:
        """Use ``generator`` for ``world`` from now on."""
        self._part()
        self._generators[world] = generator
        self._next[world] = self._rows

    def get_state(self) -> dict[str, Any]:
        """The rows drawn ahead and the generators, as arrays and plain JSON values."""
        self._part()
        generators = [None if each is None else state_of(each) for each in self._generators]
        return {"blocks": self._blocks.copy(), "next": self._next.copy(), "generators": generators}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state that :meth:`get_state` returned."""
        self._together = None
        self._blocks[...], self._next[...] = state["blocks"], state["next"]
        for world, taken in enumerate(state["generators"]):
            self._generators[world] = generator = None if taken is None else np.random.default_rng(0)
            if generator is not None:
                restore(generator, taken)

    def take(self, worlds: Worlds) -> NDArray[Any]:
        """The next row of each of ``worlds``: [M, *shape], read-only."""
        if worlds is ALL:
            row = self._together
            if row is not None and row < self._rows:
                self._together = row + 1
                return self._blocks[row]
            if self._meet():
                return self._take_together()
        self._part()
        index = self._index[worlds]
        for world in index[self._next[index] == self._rows]:
            self._refill(int(world))
        rows = self._next[index]
        self._next[index] = rows + 1
        return self._blocks[rows, index]

    def _take_together(self) -> NDArray[Any]:
        row = self._together
        if row == self._rows:
            for world in range(len(self._index)):
                self._refill(world)
            row = 0
        assert row is not None
        self._together = row + 1
        return self._blocks[row]

    def _meet(self) -> bool:
        if self._together is None and (self._next == self._next[0]).all():
            self._together = int(self._next[0])
        return self._together is not None

    def _part(self) -> None:
        if self._together is not None:
            self._next[:] = self._together
            self._together = None

    def _refill(self, world: int) -> None:
        generator = self._generators[world]
        assert generator is not None, "take() before reseed()"
        self._blocks[:, world] = self._draw(generator, self._rows)
        self._next[world] = 0
