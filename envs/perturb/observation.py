"""Settings of perturbations of the observation. processes.py implements them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from agentgym.contracts.settings import whole_number
from agentgym.envs.perturb.base import (
    MOST_LATE,
    Numbers,
    SignalPerturbation,
    check_choice,
    check_number,
    check_numbers,
    check_whole,
    fill_of,
    needs_numbers,
    scaled,
)
from agentgym.envs.perturb.processes import Delay, Dropout, Hide, Hold, Noise, Process, Quantize, Shift
from agentgym.envs.perturb.signal import Signal
from agentgym.errors import InvalidParameter

__all__ = [
    "ObservationBias",
    "ObservationDelay",
    "ObservationDropout",
    "ObservationFreeze",
    "ObservationHidden",
    "ObservationNoise",
    "ObservationQuantization",
]

_ANY_SPACE = "ObservationDelay and ObservationFreeze"


@dataclass(frozen=True)
class ObservationPerturbation(SignalPerturbation):
    """Base of effects on the observation."""

    changes: ClassVar[Literal["observation"]] = "observation"


@dataclass(frozen=True)
class ObservationNoise(ObservationPerturbation):
    """Gaussian noise: o + std scale ξ, with ξ independent over dimensions and steps.

    Integer observations (images) are rounded. If the space has bounds, the sum is clipped to them, like a saturating
    sensor; ``info["perturbed_clipped"]`` reports when.

    Args:
        std: standard deviation, one number or one per dimension, in the observation's units or in units of ``scale``.
        scale: the unit of each dimension (e.g. its standard deviation over a policy's data).
    """

    std: Numbers = 0.1
    scale: Numbers | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "std", 0.0)
        if self.scale is not None:
            check_numbers(self, "scale", 0.0)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        needs_numbers(self, signal, _ANY_SPACE)
        return Noise(signal, worlds, scaled(self, "std", signal))


@dataclass(frozen=True)
class ObservationBias(ObservationPerturbation):
    """A constant offset: o + bias scale, rounded and clipped as in :class:`ObservationNoise`.

    Args:
        bias: one number or one per dimension, in the observation's units or in units of ``scale``.
        scale: the unit of each dimension.
    """

    bias: Numbers = 0.1
    scale: Numbers | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "bias")
        if self.scale is not None:
            check_numbers(self, "scale", 0.0)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        needs_numbers(self, signal, _ANY_SPACE)
        return Shift(signal, scaled(self, "bias", signal))


@dataclass(frozen=True)
class ObservationDropout(ObservationPerturbation):
    """Each entry is lost independently with probability ``rate`` and replaced by ``fill``.

    ``rate=1`` with a ``probability`` below one loses the whole observation at once.

    Args:
        rate: probability that an entry is lost when the effect fires.
        fill: value of a lost entry, one number or one per dimension; must be a value of the space.
    """

    rate: float = 0.1
    fill: Numbers = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "rate", 0.0, 1.0)
        check_numbers(self, "fill")

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        needs_numbers(self, signal, _ANY_SPACE)
        return Dropout(signal, worlds, self.rate, fill_of(self, "fill", signal))


@dataclass(frozen=True)
class ObservationHidden(ObservationPerturbation):
    """Some entries are hidden, always the same ones: state variables without a sensor (STORI's type 3.2).

    With a ``probability`` below one, they are hidden together, at a part of the steps.

    Args:
        entries: indices of the hidden entries in the flattened observation.
        fill: value of a hidden entry, one number or one per dimension; must be a value of the space.
    """

    entries: tuple[int, ...] = (0,)
    fill: Numbers = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.entries if isinstance(self.entries, list | tuple | np.ndarray) else (self.entries,)
        entries = tuple(whole_number("an entry of ObservationHidden", entry, 0) for entry in given)
        if not entries or len(set(entries)) < len(entries):
            raise InvalidParameter(
                f"ObservationHidden.entries is {entries}; it must be at least one entry, none twice."
            )
        object.__setattr__(self, "entries", entries)
        check_numbers(self, "fill")

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        needs_numbers(self, signal, _ANY_SPACE)
        size = int(np.prod(signal.shape))
        if max(self.entries) >= size:
            raise InvalidParameter(
                f"ObservationHidden.entries has {max(self.entries)}, but the {signal.name} has {size} entries, from 0."
            )
        hidden = np.isin(np.arange(size), self.entries).reshape(signal.shape)
        return Hide(hidden, fill_of(self, "fill", signal))


@dataclass(frozen=True)
class ObservationFreeze(ObservationPerturbation):
    """A frozen sensor: the last observation is repeated, for ``duration`` steps in all.

    The observation of reset is never frozen. With ``duration`` d and ``probability`` p the long-run share of frozen
    observations is p d / (1 - p + p d).

    Args:
        probability: probability that a freeze begins at a step without one.
        duration: length of a freeze in steps.
    """

    probability: float = 0.1
    duration: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self, "duration", 1)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        return Hold(signal, worlds, self.duration)


@dataclass(frozen=True)
class ObservationDelay(ObservationPerturbation):
    """The observation of ``steps`` steps ago; with a ``probability`` below one, sometimes the current one.

    Args:
        steps: delay in steps.
        before: observation before there is one this old: "zero" (as in Gymnasium's DelayObservation) or "first",
            the observation of reset.
    """

    steps: int = 1
    before: Literal["zero", "first"] = "zero"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self, "steps", 0, MOST_LATE)
        check_choice(self, "before", ("zero", "first"))

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        return Delay(signal, worlds, self.steps, self.before == "first")


@dataclass(frozen=True)
class ObservationQuantization(ObservationPerturbation):
    """A coarse sensor: q round(o / q) with q = step scale, ties to the even level, clipped like noise.

    Args:
        step: distance between levels, one number or one per dimension, in the observation's units or those of
            ``scale``; 0 leaves a dimension unchanged.
        scale: the unit of each dimension.
    """

    step: Numbers = 0.1
    scale: Numbers | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "step", 0.0)
        if self.scale is not None:
            check_numbers(self, "scale", 0.0)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        needs_numbers(self, signal, _ANY_SPACE)
        step = scaled(self, "step", signal)
        least = np.finfo(signal.working_dtype).tiny * 1e9
        if ((step > 0) & (step < least)).any():
            raise InvalidParameter(
                f"ObservationQuantization.step, scaled, is {step[step > 0].min():g}: must be 0 or at least {least:g}."
            )
        return Quantize(signal, step)
