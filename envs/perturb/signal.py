"""What a perturbation knows of the numbers it changes: their shape, dtype and bounds. No Gymnasium here."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALL", "REWARD", "Array", "Flags", "Signal", "Worlds", "per_world"]

Array: TypeAlias = NDArray[Any]
Flags: TypeAlias = NDArray[np.bool_]
Worlds: TypeAlias = slice | NDArray[np.intp]
"""Which worlds of a batch are meant: indices, or ``ALL``; either indexes the first axis of every state."""

ALL: slice = slice(None)


@dataclass(frozen=True)
class Signal:
    """One world's observation, action or reward.

    Attributes:
        name: how messages call it, e.g. ``observation Box(-inf, inf, (4,), float64)``.
        kind: "numbers" (a Box or a reward), "choice" (Discrete, MultiDiscrete, MultiBinary), or "object" (anything
            else, carried as Python objects in arrays of dtype object and shape ()).
        shape: of one world's value.
        dtype: of the value.
        low: least value of each entry, or None where no entry is bounded on either side.
        high: greatest value of each entry, or None likewise.
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
        """What sums are formed in: the signal's own dtype, or float64 for integers."""
        return np.dtype(np.float64) if self.whole else self.dtype

    def fit(self, values: Array) -> tuple[Array, Flags | None]:
        """Round to integers where the signal is of integers, and clip to the bounds where there are any.

        Args:
            values: [M, *shape].

        Returns:
            The values in the signal's dtype, and for each of the M worlds whether a value lay outside the bounds
            (None: there are no bounds).
        """
        if self.whole:
            values = np.rint(values)
        if self.low is None or self.high is None:
            return values.astype(self.dtype, copy=False), None
        inside = np.minimum(np.maximum(values, self.low), self.high)  # np.clip costs three times as much on few numbers
        outside = (inside != values).reshape(len(values), -1).any(axis=1)
        return inside.astype(self.dtype, copy=False), outside


REWARD = Signal("reward", "numbers", (), np.dtype(np.float64), None, None, np.zeros(()))


def per_world(flags: Flags, like: Array) -> Flags:
    """``flags`` [M] shaped [M, 1, ...] so that they broadcast against ``like`` [M, ...]."""
    return flags.reshape(-1, *(1,) * (like.ndim - 1))
