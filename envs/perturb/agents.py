"""Faults of single agents in joint environments, with their truth: who, since when, for how long, how much.

The truth is in ``info["faults"]`` of every reset and step. A clean twin of an episode is the same seed without faults.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from agentgym.envs.perturb.action import ActionPerturbation
from agentgym.envs.perturb.base import (
    MOST_LATE,
    SignalPerturbation,
    check_choice,
    check_number,
    check_whole,
    needs_numbers,
)
from agentgym.envs.perturb.draws import Draws
from agentgym.envs.perturb.observation import ObservationPerturbation
from agentgym.envs.perturb.processes import Process
from agentgym.envs.perturb.signal import Array, Signal, Where, Worlds
from agentgym.errors import InvalidParameter

__all__ = ["AgentActionFault", "AgentObservationFault"]

FOREVER = 2**31
OBSERVATION_KINDS = ("gauss", "bias", "drift", "freeze", "zero")
ACTION_KINDS = ("random", "stuck", "flip", "delay")


@dataclass(frozen=True)
class _AgentFault(SignalPerturbation):
    """When and for whom.

    Args:
        size: strength, in the units of the signal.
        victim: the agent's index; None draws one for each episode.
        everyone: all agents instead of a victim: a benign shift, as a control.
        earliest, latest: the onset is drawn uniformly from these events of the episode, both included.
        duration: events from the onset on; None until the end.
    """

    size: float = 0.5
    victim: int | None = None
    everyone: bool = False
    earliest: int = 5
    latest: int = 15
    duration: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "size", 0.0)
        check_whole(self, "earliest", 0, FOREVER)
        check_whole(self, "latest", self.earliest, FOREVER)
        for name, least in (("victim", 0), ("duration", 1)):
            if getattr(self, name) is not None:
                check_whole(self, name, least, FOREVER)
        if not isinstance(self.everyone, bool | np.bool_):
            raise InvalidParameter(f"{type(self).__name__}.everyone is {self.everyone!r}; it must be True or False.")

    def _check_agents(self, signal: Signal, axes: tuple[int, ...]) -> None:
        if len(signal.shape) not in axes or not signal.shape[0]:
            shapes = " or ".join(("", "[A]", "[A, ...]")[number] for number in axes)
            raise InvalidParameter(
                f"{type(self).__name__} is for joint environments, where row k of {shapes} is agent k's; here it meets "
                f"the {signal.name}."
            )
        if self.victim is not None and self.victim >= signal.shape[0]:
            raise InvalidParameter(
                f"{type(self).__name__}.victim is {self.victim}; there are agents 0 to {signal.shape[0] - 1}."
            )


@dataclass(frozen=True)
class AgentObservationFault(ObservationPerturbation, _AgentFault):
    """One agent receives wrong observations.

    Args:
        kind: "gauss" adds size N(0, 1) to each entry; "bias" adds size times signs drawn once an episode; "drift" adds
            the same, once more with every step since the onset; "freeze" repeats the observation before the onset;
            "zero" shows zeros.
        columns: only the first so many entries of a window, for those whose last ones are dead; None for all.
    """

    kind: Literal["gauss", "bias", "drift", "freeze", "zero"] = "gauss"
    columns: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "kind", OBSERVATION_KINDS)
        if self.columns is not None:
            check_whole(self, "columns", 1, FOREVER)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        needs_numbers(self, signal, "AgentActionFault")
        self._check_agents(signal, (2,))
        if self.size > np.finfo(signal.working_dtype).max / 1e6:
            raise InvalidParameter(f"AgentObservationFault.size is {self.size:g}, too large for the {signal.name}.")
        return _ObservationFault(self, signal, worlds)


@dataclass(frozen=True)
class AgentActionFault(ActionPerturbation, _AgentFault):
    """One agent's actions are not what it commands.

    Args:
        kind: "random" replaces them by uniform ones; "stuck" by one drawn at the start of the episode, of choices never
            the first; "flip" exchanges pairs of choices, or of the entries of a Box action; "delay" executes the one of
            ``size`` steps ago, before there is one since the start the first.
        exchange: pairs for "flip". None mirrors a Box action about the middle of its bounds.
    """

    kind: Literal["random", "stuck", "flip", "delay"] = "random"
    size: float = 1.0
    exchange: tuple[tuple[int, int], ...] | None = ((1, 2), (3, 4))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "kind", ACTION_KINDS)
        if self.kind == "delay" and not (self.size == int(self.size) and 1 <= self.size <= MOST_LATE):
            raise InvalidParameter(f"AgentActionFault.size is {self.size!r}; a delay needs whole steps, at least 1.")
        if self.exchange is not None:
            try:
                pairs = tuple((int(one), int(other)) for one, other in self.exchange)
                named = [entry for pair in pairs for entry in pair]
                good = len(set(named)) == len(named) and min(named, default=0) >= 0
            except (TypeError, ValueError, OverflowError):
                good = False
            if not good:
                raise InvalidParameter(
                    f"AgentActionFault.exchange is {self.exchange!r}; it must be pairs of different whole numbers."
                )
            object.__setattr__(self, "exchange", pairs)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        self._check_agents(signal, (1, 2))
        if signal.kind == "object" or signal.low is None or signal.high is None:
            raise InvalidParameter(f"AgentActionFault needs bounded actions; here it meets the {signal.name}.")
        if not (np.isfinite(signal.low).all() and np.isfinite(signal.high).all()):
            raise InvalidParameter(f"AgentActionFault needs bounds on every side, which the {signal.name} lacks.")
        if signal.kind == "choice" and len(signal.shape) != 1:
            raise InvalidParameter(f"AgentActionFault needs one choice for each agent, not the {signal.name}.")
        if self.kind == "flip":
            self._check_exchange(signal)
        return _ActionFault(self, signal, worlds)

    def _check_exchange(self, signal: Signal) -> None:
        if self.exchange is None:
            if signal.kind == "choice":
                raise InvalidParameter("AgentActionFault.exchange is None; choices need pairs to exchange.")
            return
        assert signal.low is not None
        assert signal.high is not None
        most = int((signal.high - signal.low).min()) if signal.kind == "choice" else (*signal.shape, 1)[1] - 1
        if any(entry > most for pair in self.exchange for entry in pair):
            raise InvalidParameter(
                f"AgentActionFault.exchange is {self.exchange!r}; the {signal.name} has entries 0 to {most}. For a Box "
                "action that is to be mirrored give None."
            )


class _Fault(Process):
    """Victim, onset and time of each world, and the mask of who is changed now."""

    memory: ClassVar[tuple[str, ...]] = ("victim", "onset", "time")

    def __init__(self, rule: _AgentFault, signal: Signal, worlds: int, per_episode: int) -> None:
        super().__init__()
        self.rule, self.signal = rule, signal
        self.agents = signal.shape[0]
        self.duration = FOREVER if rule.duration is None else rule.duration
        self.victim, self.onset, self.time = (np.zeros(worlds, np.int64) for _ in range(3))
        shape = (2 + per_episode,)
        self.draws = [Draws(worlds, shape, lambda generator, rows: generator.random((rows, *shape)))]

    @property
    def truth(self) -> dict[str, Array]:
        """Of the running episodes, [N] each: victim (-1 for everyone), onset, duration and size."""
        return {
            "victim": np.full_like(self.victim, -1) if self.rule.everyone else self.victim.copy(),
            "onset": self.onset.copy(), "duration": np.full_like(self.onset, self.duration),
            "size": np.full(len(self.onset), self.rule.size),
        }  # fmt: skip

    @override
    def begin(self, worlds: Worlds) -> None:
        rule, drawn = self.rule, self.draws[0].take(worlds)
        span = rule.latest - rule.earliest + 1
        self.onset[worlds] = rule.earliest + np.minimum(np.floor(drawn[:, 0] * span), span - 1).astype(np.int64)
        drawn_victim = np.minimum(np.floor(drawn[:, 1] * self.agents), self.agents - 1).astype(np.int64)
        self.victim[worlds] = drawn_victim if rule.victim is None else rule.victim
        self.time[worlds] = 0
        self.remember(worlds, drawn[:, 2:])

    def remember(self, worlds: Worlds, drawn: Array) -> None:
        """Keep what was drawn for the episode, uniform [M, per_episode]."""

    @override
    def __call__(self, values: Array, fires: Where, worlds: Worlds) -> tuple[Array, Where]:
        time, onset = self.time[worlds], self.onset[worlds]
        due = (time >= onset) & (time < onset + self.duration)
        if fires is not True:
            due &= fires
        changed = self.changed(values, worlds, time - onset)
        self.time[worlds] = time + 1
        hit = due[:, None] & (self.rule.everyone | (np.arange(self.agents) == self.victim[worlds][:, None]))
        hit = hit.reshape(*hit.shape, *(1,) * (values.ndim - 2))
        return np.where(hit, changed, values).astype(values.dtype, copy=False), due

    def changed(self, values: Array, worlds: Worlds, since: Array) -> Array:
        """All agents' values as the fault changes them; ``since`` [M] counts events from the onset on, from 0."""
        raise NotImplementedError


class _ObservationFault(_Fault):
    memory = (*_Fault.memory, "_signs", "_held")

    def __init__(self, rule: AgentObservationFault, signal: Signal, worlds: int) -> None:
        super().__init__(rule, signal, worlds, int(np.prod(signal.shape)))
        self.kind, self.columns = rule.kind, rule.columns
        self.clips = signal.low is not None
        self._signs = np.zeros((worlds, *signal.shape), signal.working_dtype)
        self._held = np.zeros((worlds, *signal.shape), signal.dtype)
        if rule.kind == "gauss":
            self.draws.append(Draws(worlds, signal.shape, lambda g, rows: g.standard_normal((rows, *signal.shape))))

    @override
    def remember(self, worlds: Worlds, drawn: Array) -> None:
        signs = np.where(drawn < 0.5, -1.0, 1.0).astype(self._signs.dtype)
        self._signs[worlds] = signs.reshape(-1, *self.signal.shape)

    @override
    def changed(self, values: Array, worlds: Worlds, since: Array) -> Array:
        size, kind = self.signal.working_dtype.type(self.rule.size), self.kind
        before = since.reshape(-1, 1, 1) < 0
        if kind == "freeze":
            first = since.reshape(-1, 1, 1) == -self.onset[worlds].reshape(-1, 1, 1)  # nothing comes before it
            self._held[worlds] = np.where(before | first, values, self._held[worlds])
            found = self._held[worlds]
        elif kind == "zero":
            found = self.signal.fit(np.zeros_like(values))[0]
        else:
            step = self._signs[worlds] if kind != "gauss" else self.draws[1].take(worlds).astype(values.dtype)
            if kind == "drift":
                step = step * np.maximum(since + 1, 0).reshape(-1, 1, 1).astype(step.dtype)
            found = self.signal.fit(values + size * step)[0]
        return found if self.columns is None else np.where(np.arange(values.shape[-1]) < self.columns, found, values)


class _ActionFault(_Fault):
    memory = (*_Fault.memory, "_stuck", "_past")

    def __init__(self, rule: AgentActionFault, signal: Signal, worlds: int) -> None:
        super().__init__(rule, signal, worlds, int(np.prod(signal.shape)))
        self.kind, self.exchange = rule.kind, rule.exchange
        self._stuck = np.zeros((worlds, *signal.shape), signal.dtype)
        late = int(rule.size) if rule.kind == "delay" else 0
        self._past = np.zeros((worlds, late, *signal.shape), signal.dtype)
        if rule.kind == "random":
            self.draws.append(Draws(worlds, signal.shape, lambda g, rows: g.random((rows, *signal.shape))))

    @override
    def remember(self, worlds: Worlds, drawn: Array) -> None:
        self._stuck[worlds] = self._any(drawn.reshape(-1, *self.signal.shape), first=1)

    def _any(self, uniform: Array, first: int = 0) -> Array:
        """Actions from uniform numbers; choices from the one with index ``first`` on, if there is one."""
        low, high = self.signal.low, self.signal.high
        assert low is not None
        assert high is not None
        if not self.signal.whole:
            return (low + uniform * (high.astype(np.float64) - low)).astype(self.signal.dtype)
        least = np.minimum(low.astype(np.int64) + first, high) if self.signal.kind == "choice" else low.astype(np.int64)
        return (least + np.floor(uniform * (high.astype(np.int64) - least + 1))).astype(self.signal.dtype)

    @override
    def changed(self, values: Array, worlds: Worlds, since: Array) -> Array:
        if self.kind == "random":
            return self._any(self.draws[1].take(worlds))
        if self.kind == "stuck":
            return self._stuck[worlds]
        if self.kind == "flip":
            return self._flipped(values)
        past = self._past[worlds]
        fresh = (since == -self.onset[worlds]).reshape(-1, *(1,) * (past.ndim - 1))
        past = np.where(fresh, values[:, None], past)
        self._past[worlds] = np.concatenate([past[:, 1:], values[:, None]], axis=1)
        return past[:, 0]

    def _flipped(self, values: Array) -> Array:
        low, high = self.signal.low, self.signal.high
        assert low is not None
        assert high is not None
        if self.exchange is None:
            return (low.astype(np.float64) + high - values).astype(values.dtype)
        flipped = values.copy()
        for one, other in self.exchange:
            if self.signal.kind == "choice":
                flipped[values == low + one] = np.broadcast_to(low + other, values.shape)[values == low + one]
                flipped[values == low + other] = np.broadcast_to(low + one, values.shape)[values == low + other]
            else:
                flipped[..., one], flipped[..., other] = values[..., other], values[..., one]
        return flipped
