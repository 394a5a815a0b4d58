"""The shape, dtype and bounds of the values that perturbations change, independent of Gymnasium."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALL", "REWARD", "Array", "Flags", "Signal", "Worlds", "per_world"]

Array: TypeAlias = NDArray[Any]
Flags: TypeAlias = NDArray[np.bool_]
Worlds: TypeAlias = slice | NDArray[np.intp]
"""The selected worlds of a batch: indices, or ``ALL``. Both index the first axis of every state."""

ALL: slice = slice(None)


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

    @property
    def whole(self) -> bool:
        """Whether the values are integers."""
        return self.dtype.kind in "iub"

    @property
    def working_dtype(self) -> np.dtype[Any]:
        """The dtype for sums: the signal's own, or float64 for integers."""
        return np.dtype(np.float64) if self.whole else self.dtype

    def fit(self, values: Array) -> tuple[Array, Flags | None]:
        """Round to integers if the signal is integer, and clip to the bounds, if any.

        Args:
            values: [M, *shape].

        Returns:
            The values in the signal's dtype, and for each of the M worlds whether a value was outside the bounds
            (None if there are no bounds).
        """
        if self.whole:
            values = np.rint(values)
        if self.low is None or self.high is None:
            return values.astype(self.dtype, copy=False), None
        inside = np.minimum(np.maximum(values, self.low), self.high)  # three times as fast as np.clip on few numbers
        outside = (inside != values).reshape(len(values), -1).any(axis=1)
        return inside.astype(self.dtype, copy=False), outside


REWARD = Signal("reward", "numbers", (), np.dtype(np.float64), None, None, np.zeros(()))


def per_world(flags: Flags, like: Array) -> Flags:
    """Reshape ``flags`` [M] to [M, 1, ...] for broadcasting against ``like`` [M, ...]."""
    return flags.reshape(-1, *(1,) * (like.ndim - 1))
