"""The shape, dtype and bounds of the values that perturbations change, independent of Gymnasium."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALL", "REWARD", "Array", "Flags", "Signal", "Where", "Worlds", "per_world", "where_any"]

Array: TypeAlias = NDArray[Any]
Flags: TypeAlias = NDArray[np.bool_]
Worlds: TypeAlias = slice | NDArray[np.intp]
"""The selected worlds of a batch: indices, or ``ALL``. Both index the first axis of every state."""

ALL: slice = slice(None)

Where: TypeAlias = bool | Flags
"""In which of M worlds something holds: flags [M], or one Python bool for all of them, which is much cheaper."""


@dataclass(frozen=True)
class Signal:
    """Description of one world's observation, action or reward.

    Attributes:
        name: name for messages, e.g. ``observation Box(-inf, inf, (4,), float64)``.
        kind: "numbers" (a Box or a reward), "choice" (Discrete, MultiDiscrete, MultiBinary), or "object" (anything
            else, carried as Python objects in arrays of dtype object and shape ()).
        shape: shape of one world's value.
        dtype: dtype of the value.
        low: lower bound of each entry, or None if no entry is bounded on either side.
        high: upper bound of each entry, or None likewise.
        zero: the value nearest to zero (Gymnasium's ``create_zero_array``), as an array of ``shape``.
    """

    name: str
    kind: Literal["numbers", "choice", "object"]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    low: Array | None
    high: Array | None
    zero: Array

    @cached_property
    def whole(self) -> bool:
        """Whether the values are integers."""
        return self.dtype.kind in "iub"

    @cached_property
    def working_dtype(self) -> np.dtype[Any]:
        """The dtype for sums: the signal's own, or float64 for integers."""
        return np.dtype(np.float64) if self.whole else self.dtype

    def fit(self, values: Array) -> tuple[Array, Where]:
        """Round to integers if the signal is integer, and clip to the bounds, if any.

        Args:
            values: [M, *shape].

        Returns:
            The values in the signal's dtype, and in which of the M worlds a value was outside the bounds.
        """
        if self.whole:
            values = np.rint(values)
        outside: Where = False
        if self.low is not None and self.high is not None:
            # On few numbers this takes a third of np.clip's time, and half of that if the axes need not be matched.
            inside = np.minimum(np.maximum(values, self.low[None]), self.high[None])
            outside = where_any(inside != values)
            values = inside
        return values if values.dtype is self.dtype else values.astype(self.dtype, copy=False), outside


REWARD = Signal("reward", "numbers", (), np.dtype(np.float64), None, None, np.zeros(()))


def per_world(flags: Flags, like: Array) -> Flags:
    """Reshape ``flags`` [M] to [M, 1, ...] for broadcasting against ``like`` [M, ...]."""
    return flags.reshape(-1, *(1,) * (like.ndim - 1))


def where_any(entries: Flags) -> Where:
    """In which worlds any of the ``entries`` [M, ...] is true."""
    if not np.count_nonzero(entries):
        return False
    return True if len(entries) == 1 else np.asarray(entries.reshape(len(entries), -1).any(axis=1))
