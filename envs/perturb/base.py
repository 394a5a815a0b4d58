"""Base classes of the settings of perturbations: when they fire, validation, and conversion to JSON values."""

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from agentgym.contracts.settings import finite_number, plain, whole_number
from agentgym.envs.perturb.signal import Array, Signal
from agentgym.errors import InvalidParameter

if TYPE_CHECKING:
    from agentgym.envs.perturb.processes import Process

__all__ = [
    "MOST_LATE",
    "Numbers",
    "Perturbation",
    "SignalPerturbation",
    "check_choice",
    "check_number",
    "check_numbers",
    "check_whole",
    "fill_of",
    "needs_numbers",
    "scaled",
]

Numbers: TypeAlias = float | tuple["Numbers", ...]
"""One number for every dimension, or (nested like the value) one per dimension."""


MOST_LATE = 100_000
"""The largest delay in steps. A delay stores this many values per world."""


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """Base of the settings of an effect.

    They have no state: the same object can perturb many environments.
    """

    changes: ClassVar[Literal["observation", "action", "reward", "dynamics"]]

    def __post_init__(self) -> None:
        """Validate the settings.

        Raises:
            InvalidParameter: a setting is not allowed.
        """

    def to_config(self) -> dict[str, Any]:
        """The settings as plain values, which ``from_config`` reads.

        Raises:
            InvalidParameter: a setting is a function, which cannot be written.
        """
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for name, value in values.items():
            if callable(value):
                raise _invalid(self, name, value, "a name to be written as a configuration, not a function")
        return {"type": type(self).__name__, **{name: _plain(value) for name, value in values.items()}}


@dataclass(frozen=True, kw_only=True)
class SignalPerturbation(Perturbation):
    """Base of effects on observation, action or reward, with a rule for when they fire.

    The effect can fire at the events ``start, start + every, start + 2 every, ...`` before ``stop``, each time with
    ``probability``. Events are counted per episode: the first action and its reward are event 0; the observation
    of reset is event 0, and the observation after the first step is event 1.

    Args:
        probability: probability of firing at such an event.
        start: the first event at which it can fire.
        stop: the first event from which on it can no longer fire; None: no end.
        every: distance between two such events.
    """

    probability: float = 1.0
    start: int = 0
    stop: int | None = None
    every: int = 1

    def __post_init__(self) -> None:
        check_number(self, "probability", 0.0, 1.0)
        check_whole(self, "start", 0)
        check_whole(self, "every", 1)
        if self.stop is not None:
            check_whole(self, "stop", self.start)

    def process(self, signal: Signal, worlds: int) -> "Process":
        """The implementation of the effect for ``signal`` in ``worlds`` worlds.

        Raises:
            InvalidParameter: the effect does not support the signal, or a setting does not fit its shape.
        """
        raise NotImplementedError


def check_number(
    owner: Perturbation, field: str, low: float = -math.inf, high: float = math.inf, *, above: bool = False
) -> None:
    """Check that a setting is a finite number in [low, high] (``above``: above low), and convert it to a float."""
    object.__setattr__(owner, field, finite_number(_name(owner, field), getattr(owner, field), low, high, above=above))


def check_numbers(owner: Perturbation, field: str, low: float = -math.inf) -> None:
    """Check that a setting is one finite number or one per dimension, and convert it to a float or nested tuples."""
    value, name = plain(getattr(owner, field)), _name(owner, field)
    if not isinstance(value, list | tuple):
        check_number(owner, field, low)
        return
    if not (flat := _flatten(value)):
        raise InvalidParameter(f"{name} is empty; it must be a finite number, or one per dimension.")
    for item in flat:
        finite_number(f"An entry of {name}", item, low)
    try:
        array = np.asarray(value, dtype=np.float64)
    except ValueError:
        raise InvalidParameter(f"{name} is {value!r}; its rows must be of equal length.") from None
    object.__setattr__(owner, field, _tuples(array.tolist()))


def check_whole(owner: Perturbation, field: str, low: int, high: int = 2**63 - 1) -> None:
    """Check that a setting is an integer from ``low`` to ``high``."""
    object.__setattr__(owner, field, whole_number(_name(owner, field), getattr(owner, field), low, high))


def _name(owner: Perturbation, field: str) -> str:
    return f"{type(owner).__name__}.{field}"


def check_choice(owner: Perturbation, field: str, allowed: tuple[str, ...], otherwise: str = "") -> None:
    """Check that a setting is one of some names."""
    value = getattr(owner, field)
    if not isinstance(value, str) or value not in allowed:
        names = " or ".join(repr(name) for name in allowed)
        raise _invalid(owner, field, value, f"{names}{' ' + otherwise if otherwise else ''}")


def needs_numbers(owner: Perturbation, signal: Signal, instead: str) -> None:
    """Refuse a signal that is not numeric; ``instead`` names effects that support any.

    Raises:
        InvalidParameter: the message names the effect and the space.
    """
    if signal.kind != "numbers":
        raise InvalidParameter(
            f"{type(owner).__name__} needs a Box, because it computes with numbers; here it meets the {signal.name}. "
            f"{instead} support any space."
        )
    if signal.whole and max(-float(np.min(signal.low)), float(np.max(signal.high))) > 2**53:  # type: ignore[arg-type]
        raise InvalidParameter(
            f"{type(owner).__name__} computes in float64, which cannot represent every value of the {signal.name}. "
            "Give the space bounds within +-2**53."
        )


def scaled(owner: Perturbation, field: str, signal: Signal) -> Array:
    """The setting times the effect's ``scale``, if any: float64 of the signal's shape.

    Raises:
        InvalidParameter: the setting or the scale does not fit the signal's shape, or a bound is missing.
    """
    values = _scaled(owner, field, signal)
    if np.abs(values).max(initial=0.0) > (most := np.finfo(signal.working_dtype).max / 1e6):
        raise InvalidParameter(
            f"{type(owner).__name__}.{field}, scaled, is {np.abs(values).max():g}: must be {most:g} at most, or the "
            f"{signal.name} overflows."
        )
    return values


def _scaled(owner: Perturbation, field: str, signal: Signal) -> Array:
    values = _spread(owner, field, signal)
    scale = getattr(owner, "scale", None)
    if scale is None:
        return values
    if scale != "half_range":
        with np.errstate(over="ignore"):
            return np.asarray(values * _spread(owner, "scale", signal))
    if signal.low is None or signal.high is None or not np.isfinite([signal.low, signal.high]).all():
        raise InvalidParameter(
            f"{type(owner).__name__}.scale = 'half_range' needs bounds on every side, which the {signal.name} lacks. "
            "Give numbers."
        )
    return values * (signal.high.astype(np.float64) - signal.low) / 2


def fill_of(owner: Perturbation, field: str, signal: Signal) -> Array:
    """The setting as a value of the signal, with its shape and dtype.

    Raises:
        InvalidParameter: the signal cannot have that value.
    """
    values = _spread(owner, field, signal)
    fitted, outside = signal.fit(values[None])
    if outside or not np.array_equal(fitted[0], values.astype(signal.working_dtype)):
        raise _invalid(owner, field, getattr(owner, field), f"a value of the {signal.name}")
    return fitted[0]


def _spread(owner: Perturbation, field: str, signal: Signal) -> Array:
    values = np.asarray(getattr(owner, field), dtype=np.float64)
    try:
        return np.broadcast_to(values, signal.shape)
    except ValueError:
        raise InvalidParameter(
            f"{type(owner).__name__}.{field} has the shape {values.shape}, which does not fit the shape {signal.shape} "
            f"of the {signal.name}. Give one number, or one per dimension."
        ) from None


def _invalid(owner: Perturbation, field: str, value: Any, allowed: str) -> InvalidParameter:
    return InvalidParameter(f"{_name(owner, field)} is {value!r}; it must be {allowed}.")


def _flatten(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _flatten(item)]
    return [value]


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
