"""Implementations of the effects, on batches: values [M, *shape] of M worlds to perturbed values of the same shape.

A process has the memory and the random numbers of each world; the settings from which it is created (observation.py,
action.py, reward.py) have no state. A process treats each world independently of the others.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from agentgym.envs.perturb.draws import Draws
from agentgym.envs.perturb.signal import ALL, Array, Signal, Where, Worlds, per_world, where_any
from agentgym.errors import InvalidAction, InvalidParameter

__all__ = ["Delay", "Drift", "Dropout", "Flip", "Hold", "Mix", "Noise", "Process", "Quantize", "Shift", "Swell"]

Policy = Callable[[Array], Array]
"""``observations [M, *observation shape] -> actions [M, *action shape]``, treating each row independently."""


def pick(fires: Where, changed: Array, unchanged: Array) -> Array:
    """``changed`` in the worlds in which the effect fires, ``unchanged`` in the others."""
    if isinstance(fires, bool):
        return changed if fires else unchanged
    return np.where(per_world(fires, changed), changed, unchanged)


class Process:
    """Base of effects in N worlds.

    Attributes:
        memory: arrays [N, ...] that persist between events.
        clips: whether results may be clipped to the signal's bounds.
        watches: whether it needs the observations, see :meth:`see`.
        clipped: after a call, in which of the M worlds results were clipped.
        draws: the random numbers it uses, each seeded from its own child of the world's stream.
        truth: what was drawn for the running episodes, arrays [N] by name, for ``info["faults"]``; None if nothing is
            to be told.
    """

    memory: ClassVar[tuple[str, ...]] = ()
    clips = False
    watches = False

    @property
    def truth(self) -> dict[str, Array] | None:
        """See the class."""
        return None

    def __init__(self) -> None:
        self.clipped: Where = False
        self.draws: list[Draws] = []

    def reseed(self, world: int, generator: np.random.Generator) -> None:
        """Use ``generator`` for the world's random numbers."""
        for draws, child in zip(self.draws, generator.spawn(len(self.draws)), strict=True):
            draws.reseed(world, child)

    def get_state(self) -> dict[str, Any]:
        """The memory and the random state, as arrays and plain JSON values."""
        values = {name: getattr(self, name) for name in self.memory}
        kept = {name: None if value is None else value.copy() for name, value in values.items()}
        return {"memory": kept, "draws": [draws.get_state() for draws in self.draws]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state that :meth:`get_state` returned."""
        for name in self.memory:
            value = state["memory"][name]
            setattr(self, name, None if value is None else np.array(value))
        for draws, taken in zip(self.draws, state["draws"], strict=True):
            draws.set_state(taken)

    def begin(self, worlds: Worlds) -> None:
        """Start new episodes in ``worlds``."""

    def see(self, observations: Array, worlds: Worlds) -> None:
        """Receive the observations at the effect's position in the stack (called only if ``watches``)."""

    def __call__(self, values: Array, fires: Where, worlds: Worlds) -> tuple[Array, Where]:
        """The perturbed values, and in which of the M worlds the effect fired."""
        raise NotImplementedError


class _Fitted(Process):
    """An effect whose result may leave the signal's range. Integers are rounded and bounds are enforced by clipping."""

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.signal = signal
        self.clips = signal.low is not None
        self._fits = not (self.clips or signal.whole)  # any result is a value of the signal

    @override
    def __call__(self, values: Array, fires: Where, worlds: Worlds) -> tuple[Array, Where]:
        changed = self.changed(values, worlds)
        if not self._fits or changed.dtype is not self.signal.dtype:
            changed, outside = self.signal.fit(changed)
            self.clipped = outside if fires is True else outside & fires
        return changed if fires is True else pick(fires, changed, values), fires

    def changed(self, values: Array, worlds: Worlds) -> Array:
        """The values where the effect fires, before rounding and clipping."""
        raise NotImplementedError


class Shift(_Fitted):
    """y = x + b."""

    def __init__(self, signal: Signal, bias: Array) -> None:
        super().__init__(signal)
        self._bias = bias.astype(signal.working_dtype)

    @override
    def changed(self, values: Array, worlds: Worlds) -> Array:
        return values + self._bias


class Noise(_Fitted):
    """y = x + s ξ, with ξ standard normal, independent over dimensions, events and worlds."""

    def __init__(self, signal: Signal, worlds: int, std: Array) -> None:
        super().__init__(signal)
        dtype = signal.working_dtype

        def draw(generator: np.random.Generator, rows: int) -> Array:
            return generator.standard_normal((rows, *signal.shape)) * std

        self.draws = [Draws(worlds, signal.shape, draw, dtype)]

    @override
    def changed(self, values: Array, worlds: Worlds) -> Array:
        return values + self.draws[0].take(worlds)


class Swell(Noise):
    """y = x + s m(t) ξ, with m(t) = (1 - exp(-0.01 t)) sin t, where t counts events since the start of the episode."""

    memory = ("_time",)

    def __init__(self, signal: Signal, worlds: int, std: Array) -> None:
        super().__init__(signal, worlds, std)
        self._time = np.zeros((worlds, *(1,) * len(signal.shape)), signal.working_dtype)

    @override
    def begin(self, worlds: Worlds) -> None:
        self._time[worlds] = 0.0

    @override
    def changed(self, values: Array, worlds: Worlds) -> Array:
        time = self._time[worlds]
        swell = -np.expm1(-0.01 * time) * np.sin(time)
        self._time[worlds] += 1.0
        return values + swell * self.draws[0].take(worlds)


class Quantize(_Fitted):
    """y = q round(x / q), ties to the even level; dimensions with q = 0 are unchanged."""

    def __init__(self, signal: Signal, step: Array) -> None:
        super().__init__(signal)
        self._coarse = step > 0
        self._step = np.where(self._coarse, step, 1.0).astype(signal.working_dtype)

    @override
    def changed(self, values: Array, worlds: Worlds) -> Array:
        return np.where(self._coarse, np.rint(values / self._step) * self._step, values)


class Drift(_Fitted):
    """y = g x, with g = 1 at the start of the episode and g <- clip(g + r + s ξ, low, high) after every event."""

    memory = ("_gain",)

    def __init__(self, signal: Signal, worlds: int, std: float, rate: float, bounds: tuple[float, float]) -> None:
        super().__init__(signal)
        self._rate, self._bounds = rate, bounds
        self._gain = np.ones((worlds, *signal.shape), signal.working_dtype)

        def draw(generator: np.random.Generator, rows: int) -> Array:
            return rate + std * generator.standard_normal((rows, *signal.shape))

        self.draws = [Draws(worlds, signal.shape, draw, signal.working_dtype)]

    @override
    def begin(self, worlds: Worlds) -> None:
        self._gain[worlds] = 1.0

    @override
    def changed(self, values: Array, worlds: Worlds) -> Array:
        gain = self._gain[worlds]
        changed = values * gain
        self._gain[worlds] = np.clip(gain + self.draws[0].take(worlds), *self._bounds)
        return changed


class Dropout(Process):
    """Each entry is lost independently with probability ``rate`` and replaced by ``fill``."""

    def __init__(self, signal: Signal, worlds: int, rate: float, fill: Array) -> None:
        super().__init__()
        self._rate, self._fill = rate, fill
        self.draws = [Draws(worlds, signal.shape, lambda generator, rows: generator.random((rows, *signal.shape)))]

    @override
    def __call__(self, values: Array, fires: Where, worlds: Worlds) -> tuple[Array, Where]:
        lost = self.draws[0].take(worlds) < self._rate
        if fires is not True:
            lost &= fires if isinstance(fires, bool) else per_world(fires, lost)
        return np.where(lost, self._fill, values), where_any(lost)


class Hide(Process):
    """Some entries, always the same ones, are replaced by ``fill``."""

    def __init__(self, hidden: Array, fill: Array) -> None:
        super().__init__()
        self._hidden, self._fill = hidden, fill

    @override
    def __call__(self, values: Array, fires: Where, worlds: Worlds) -> tuple[Array, Where]:
        hidden = np.broadcast_to(self._hidden, values.shape)
        if fires is not True:
            hidden = hidden & (fires if isinstance(fires, bool) else per_world(fires, hidden))
        return np.where(hidden, self._fill, values), where_any(hidden)


class Hold(Process):
    """Where it fires, repeats the last output, for ``duration`` events in all.

    It cannot fire at the first event of an episode, which has no predecessor, nor while it holds.
    """

    memory = ("_last", "_has_last", "_left")

    def __init__(self, signal: Signal, worlds: int, duration: int) -> None:
        super().__init__()
        self._duration = duration
        self._last = np.zeros((worlds, *signal.shape), signal.dtype)
        self._has_last = np.zeros(worlds, bool)
        self._left = np.zeros(worlds, int)

    @override
    def begin(self, worlds: Worlds) -> None:
        self._has_last[worlds] = False
        self._left[worlds] = 0

    @override
    def __call__(self, values: Array, fires: Where, worlds: Worlds) -> tuple[Array, Where]:
        if len(self._left) == 1:
            return self._alone(values, bool(fires))
        left = self._left[worlds]
        left = np.where(self._has_last[worlds] & fires & (left == 0), self._duration, left)
        holds = left > 0
        held = pick(holds, self._last[worlds], values)
        self._left[worlds] = np.maximum(left - 1, 0)
        self._last[worlds] = held
        self._has_last[worlds] = True
        return held, holds

    def _alone(self, values: Array, fires: bool) -> tuple[Array, Where]:
        """The same for one world, without arithmetic on arrays."""
        left = self._left.item()
        if left == 0 and fires and self._has_last.item():
            left = self._duration
        if left > 0:
            self._left[0] = left - 1
            return self._last.copy(), True
        self._last[...] = values
        self._has_last[0] = True
        return values, False


class Delay(Process):
    """y_k = x_(k - steps). Before there is such a value it is zero, or (``first``) the episode's first value."""

    memory = ("_memory", "_count")

    def __init__(self, signal: Signal, worlds: int, steps: int, first: bool) -> None:
        super().__init__()
        self._steps, self._first, self._zero = steps, first, signal.zero
        self._memory = np.zeros((worlds, steps, *signal.shape), signal.dtype)
        self._index = np.arange(worlds)
        self._count = np.zeros(worlds, int)
        self._together: int | None = None  # the count, if it is the same for all worlds

    @override
    def get_state(self) -> dict[str, Any]:
        self._part()
        return super().get_state()

    @override
    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        self._together = None

    @override
    def begin(self, worlds: Worlds) -> None:
        if worlds is ALL:
            self._together = 0
        else:
            self._part()
            self._count[worlds] = 0
        self._memory[worlds] = self._zero

    def _part(self) -> None:
        if self._together is not None:
            self._count[:] = self._together
            self._together = None

    @override
    def __call__(self, values: Array, fires: Where, worlds: Worlds) -> tuple[Array, Where]:
        if self._steps == 0:
            return values, False
        if worlds is ALL and self._together is not None:
            return pick(fires, self._late_together(values), values), fires
        self._part()
        index = self._index[worlds]
        count = self._count[index]
        if self._first and (fresh := count == 0).any():
            self._memory[index[fresh]] = values[fresh][:, None]
        slot = count % self._steps
        late = self._memory[index, slot]
        self._memory[index, slot] = values
        self._count[index] = count + 1
        return pick(fires, late, values), fires

    def _late_together(self, values: Array) -> Array:
        count = self._together
        assert count is not None
        if self._first and count == 0:
            self._memory[:] = values[:, None]
        slot = self._memory[:, count % self._steps]
        late = slot.copy()
        slot[...] = values
        self._together = count + 1
        return late


class Flip(Process):
    """y = -x."""

    @override
    def __call__(self, values: Array, fires: Where, worlds: Worlds) -> tuple[Array, Where]:
        return pick(fires, -values, values), fires


class Mix(Process):
    """Numbers: y = (1 - w) x + w x'. Choices: y = x' with probability w, else x. x' is the other policy's action."""

    memory = ("_seen",)

    def __init__(self, signal: Signal, worlds: int, weight: float, policy: str | Policy) -> None:
        super().__init__()
        self._signal, self._weight, self._policy = signal, weight, policy
        self.watches = callable(policy)
        self._seen: Array | None = None
        self._worlds = worlds
        self.draws = [
            Draws(worlds, (), lambda generator, rows: generator.random(rows)),
            Draws(worlds, signal.shape, lambda generator, rows: generator.random((rows, *signal.shape))),
        ]
        bounds = (signal.low, signal.high)
        if policy == "random" and not all(bound is not None and np.isfinite(bound).all() for bound in bounds):
            raise InvalidParameter(
                f"ActionMixture.policy = 'random' draws uniformly between bounds, and the {signal.name} has an open "
                "side. Give a function as the policy."
            )

    @override
    def see(self, observations: Array, worlds: Worlds) -> None:
        if self._seen is None:
            self._seen = np.zeros((self._worlds, *observations.shape[1:]), observations.dtype)
        self._seen[worlds] = observations

    @override
    def __call__(self, values: Array, fires: Where, worlds: Worlds) -> tuple[Array, Where]:
        other = self._other(values, worlds)
        if self._signal.kind == "choice":
            replaced = self.draws[0].take(worlds) < self._weight
            fired = replaced & fires
            return pick(fired, other, values), fired
        mixed = (1.0 - self._weight) * values + self._weight * other
        if self._signal.whole:
            mixed = np.rint(mixed)
        mixed = np.clip(mixed, np.minimum(values, other), np.maximum(values, other))  # removes rounding errors
        return pick(fires, mixed.astype(self._signal.dtype), values), fires

    def _other(self, values: Array, worlds: Worlds) -> Array:
        if callable(self._policy):
            return self._asked(values, worlds)
        if self._policy == "zero":
            return np.broadcast_to(self._signal.zero, values.shape)
        low, high = self._signal.low, self._signal.high
        assert low is not None
        assert high is not None
        uniform = self.draws[1].take(worlds)
        if not self._signal.whole:
            return (low + uniform * (high - low)).astype(self._signal.dtype)
        span = high.astype(np.int64) - low.astype(np.int64) + 1
        return (low + np.floor(uniform * span)).astype(self._signal.dtype)

    def _asked(self, values: Array, worlds: Worlds) -> Array:
        assert self._seen is not None
        assert callable(self._policy)
        other = np.asarray(self._policy(self._seen[worlds].copy()))
        if other.shape != values.shape or not np.isfinite(other).all():
            raise InvalidAction(
                f"ActionMixture's policy returned actions of shape {other.shape}; it must return finite numbers of "
                f"shape {values.shape}, one row for each row of observations."
            )
        return other.astype(self._signal.dtype)
