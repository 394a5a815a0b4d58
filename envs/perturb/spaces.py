"""Conversion between values of Gymnasium's spaces and the arrays that effects work on."""

from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from gymnasium.error import CustomSpaceError
from gymnasium.vector.utils import concatenate, create_empty_array, iterate
from gymnasium.wrappers.utils import create_zero_array

from agentgym.contracts.finite import is_finite
from agentgym.envs.perturb.signal import Array, Signal
from agentgym.errors import InvalidAction

__all__ = ["Codec", "signal_of"]


def signal_of(space: Space[Any], role: str) -> Signal:
    """The signal described by ``space``; ``role`` ("observation" or "action") is its name in messages."""
    name = f"{role} {space}" if len(str(space)) < 200 else f"{role} {type(space).__name__}{space.shape}"
    if isinstance(space, spaces.Box):
        bounded = bool(np.isfinite(space.low).any() or np.isfinite(space.high).any())
        low, high = (space.low, space.high) if bounded else (None, None)
        return Signal(name, "numbers", space.shape, np.dtype(space.dtype), low, high, create_zero_array(space))
    if isinstance(space, spaces.Discrete):
        dtype = np.dtype(space.dtype)
        low, high = np.asarray(space.start, dtype), np.asarray(space.start + space.n - 1, dtype)
        return Signal(name, "choice", (), dtype, low, high, low)
    if isinstance(space, spaces.MultiDiscrete):
        start = np.asarray(space.start)
        return Signal(name, "choice", space.shape, np.dtype(space.dtype), start, start + space.nvec - 1, start.copy())
    if isinstance(space, spaces.MultiBinary):
        low = np.zeros(space.shape, space.dtype)
        return Signal(name, "choice", space.shape, np.dtype(space.dtype), low, low + 1, low)
    return Signal(name, "object", (), np.dtype(object), None, None, _boxed(space))


def _boxed(space: Space[Any]) -> Array:
    """The space's zero as a 0-d object array, since assigning a tuple to a slice would unpack it."""
    zero = np.empty((), object)
    try:
        zero[()] = create_zero_array(space)
    except CustomSpaceError:
        zero[()] = None
    return zero


class Codec:
    """Converts values of one space, single or batched, to arrays with a batch axis and back.

    Args:
        space: the space of one world.
        role: "observation" or "action".
        worlds: number of worlds in a batch; None for a single environment.
        batch_space: the space of the batch.
    """

    def __init__(
        self, space: Space[Any], role: str, worlds: int | None = None, batch_space: Space[Any] | None = None
    ) -> None:
        self.signal = signal_of(space, role)
        self._space, self._worlds, self._batch_space = space, worlds, batch_space
        self._objects = self.signal.kind == "object"
        self._dtype = self.signal.dtype if self.signal.kind == "numbers" else None  # what check_action may pass at once
        self._shape = self.signal.shape if worlds is None else (worlds, *self.signal.shape)

    def pack(self, value: Any) -> Array:
        """Convert one value to [1, *shape], or a batch to [N, *shape]."""
        if not self._objects:
            array = np.asarray(value)
            return array[None] if self._worlds is None else array
        values = [value] if self._worlds is None else iterate(self._batch_space, value)  # type: ignore[arg-type]
        packed = np.empty(self._worlds or 1, object)
        for world, item in enumerate(values):
            packed[world] = deepcopy(item)  # it may be a view into a buffer that the next step overwrites
        return packed

    def unpack(self, packed: Array) -> Any:
        """The inverse of :meth:`pack`; objects are returned in new memory."""
        if not self._objects:
            return packed if self._worlds is not None else packed[0]
        if self._worlds is None:
            return deepcopy(packed[0])
        empty: Any = create_empty_array(self._space, self._worlds)
        return concatenate(self._space, list(packed), empty)

    def check_action(self, action: Any) -> Array:
        """Convert an action to an array in the space's dtype.

        Raises:
            InvalidAction: it has NaN or infinite entries or another shape, or is not in the space.
        """
        if self._objects:
            self._check_object(action)
            return self.pack(action)
        try:
            array = np.asarray(action)
        except ValueError as error:
            raise InvalidAction(f"The action is not an array ({error}). {self._wanted()}") from None
        if array.dtype is not self._dtype or array.shape != self._shape or not is_finite(array):
            array = self._converted(array, action)
        return array[None] if self._worlds is None else array

    def _converted(self, array: Array, action: Any) -> Array:
        if array.shape != self._shape:
            raise InvalidAction(f"The action has the shape {array.shape}. {self._wanted()}")
        if array.dtype.kind not in ("iub" if self.signal.whole else "fiub"):
            kind = "integer" if self.signal.whole else "number"
            raise InvalidAction(f"The action has the type {array.dtype}, which is no {kind}. {self._wanted()}")
        if array.dtype != self.signal.dtype:
            with np.errstate(over="ignore"):  # overflow becomes infinity, which is rejected
                array = array.astype(self.signal.dtype)
        if not is_finite(array):
            raise InvalidAction(f"The action has NaN or infinite entries: {np.asarray(action)}. {self._wanted()}")
        if self.signal.kind == "choice" and ((array < self.signal.low) | (array > self.signal.high)).any():
            raise InvalidAction(f"The action {array} is outside the space. {self._wanted()}")
        return array

    def _check_object(self, action: Any) -> None:
        space = self._space if self._worlds is None else self._batch_space
        assert space is not None
        if action not in space:
            raise InvalidAction(f"The action {action!r} is not in the space. {self._wanted()}")

    def _wanted(self) -> str:
        batch = "" if self._worlds is None else f", one for each of {self._worlds} environments"
        return f"Give a finite value of the {self.signal.name}{batch} (shape {self._shape}, type {self.signal.dtype})."
