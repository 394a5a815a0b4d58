"""Controls of the number of turns, as plug-ins of the loop. A turn is one model call.

The strategies are those of Peng and Gao (arXiv 2510.16786); the wording of reminders, the rules of extensions and their
sizes are ours, because the paper does not state them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.settings import whole_number
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.turns.transcript import FEATURES, Transcript

__all__ = [
    "Control", "Dynamic", "Fixed", "Learned", "Reminders", "Ruling", "Unrestricted", "View", "limits_of", "percentile",
]  # fmt: skip

Rule = Literal["request", "automatic", "evidence", "learned"]
RULES: tuple[Rule, ...] = ("request", "automatic", "evidence", "learned")
REPEATS = 3  # equal commands in a row that count as a loop
RECENT = 3  # turns in which something new has to appear for an extension by evidence
CONTINUE, SUBMIT = 0, 1  # the actions of a policy that controls turns


@dataclass(frozen=True)
class View:
    """What a control may know before a turn.

    Attributes:
        used: turns so far.
        requested: whether the agent has asked for more since the last ruling.
        evidence: whether the last three turns have brought something new: another state of the files.
        looping: whether the same command was given three times in a row.
        features: of the transcript, float32 [15]; see :data:`agentgym.turns.transcript.FEATURES`.
    """

    used: int
    requested: bool = False
    evidence: bool = False
    looping: bool = False
    features: NDArray[np.float32] = field(default_factory=lambda: np.zeros(len(FEATURES), np.float32))

    @classmethod
    def of(cls, transcript: Transcript, requested: bool = False) -> "View":
        """What a transcript shows."""
        evidence, looping = any(transcript.new_state[-RECENT:]), transcript.repeats >= REPEATS
        return cls(transcript.turns, requested, evidence, looping, transcript.features)


@dataclass(frozen=True)
class Ruling:
    """What a control says before a turn.

    Attributes:
        go: whether there may be another turn.
        limit: the present limit; None: none.
        reminder: what the agent is told; "" for nothing.
        extended: turns that were added just now.
    """

    go: bool
    limit: int | None
    reminder: str = ""
    extended: int = 0


class Control(Protocol):
    """A control of one episode at a time. :meth:`begin` is called first, then :meth:`rule` before every turn."""

    @property
    def takes_requests(self) -> bool:
        """Whether the agent may ask for more turns."""

    def begin(self) -> None:
        """Start an episode."""

    def rule(self, view: View) -> Ruling:
        """Whether there may be another turn."""


@dataclass(frozen=True)
class Reminders:
    """When the agent is told how many turns are used and left.

    Attributes:
        every: before every turn.
        shares: once each, when these shares of the limit are used, e.g. (0.5, 0.75, 0.9).
        last: before each of the last turns.
    """

    every: bool = False
    shares: tuple[float, ...] = ()
    last: int = 0

    def __post_init__(self) -> None:
        whole_number("last", self.last, 0)
        if not all(0 < share < 1 for share in self.shares):
            raise InvalidParameter(f"shares of a limit are between 0 and 1, not {self.shares}.")

    def text(self, used: int, limit: int) -> str:
        """The reminder before the turn after ``used`` turns; "" if there is none."""
        left = limit - used
        due = self.every or left <= self.last or any(used == math.ceil(share * limit) for share in self.shares)
        return f"[Turns: {used} of {limit} used, {left} left.]" if due and left > 0 else ""


@dataclass
class Unrestricted:
    """No limit. With ``told``, the agent is reminded of a limit that does not exist: the effect of words alone.

    Attributes:
        told: the limit that reminders speak of; None: no reminders.
        reminders: when.
    """

    told: int | None = None
    reminders: Reminders = field(default_factory=Reminders)
    takes_requests = False

    def begin(self) -> None:
        """Nothing to prepare."""

    def rule(self, view: View) -> Ruling:
        """Always go."""
        text = self.reminders.text(view.used, self.told) if self.told is not None else ""
        return Ruling(True, None, text)


@dataclass
class Fixed:
    """A limit, with or without reminders.

    Attributes:
        limit: turns.
        reminders: when the agent is told.
    """

    limit: int
    reminders: Reminders = field(default_factory=Reminders)
    takes_requests = False

    def __post_init__(self) -> None:
        self.limit = whole_number("limit", self.limit, 1)

    def begin(self) -> None:
        """Nothing to prepare."""

    def rule(self, view: View) -> Ruling:
        """Go until the limit."""
        if view.used >= self.limit:
            return Ruling(False, self.limit)
        return Ruling(True, self.limit, self.reminders.text(view.used, self.limit))


@dataclass
class Dynamic:
    """A low limit that is extended on demand, never for an agent that repeats itself.

    Attributes:
        start: turns at first.
        step: turns that an extension adds.
        cap: the limit that no extension passes.
        extensions: how many there may be.
        rule_name: "request" (the agent has asked), "automatic" (at the limit), "evidence" (at the limit, if the last
            turns have changed something), or "learned" (at the limit, if ``policy`` says so).
        reminders: when the agent is told.
        policy: as of :class:`Learned`; not in the text form, which is the same in another process.
    """

    start: int
    step: int
    cap: int
    extensions: int = 2
    rule_name: Rule = "request"
    reminders: Reminders = field(default_factory=Reminders)
    policy: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.start, self.step = whole_number("start", self.start, 1), whole_number("step", self.step, 1)
        self.cap = whole_number("cap", self.cap, self.start)
        self.extensions = whole_number("extensions", self.extensions, 0)
        if self.rule_name not in RULES:
            raise UnknownId("rule of extensions", str(self.rule_name), RULES)
        if self.rule_name == "learned" and not hasattr(self.policy, "predict"):
            raise InvalidParameter('The rule "learned" needs a policy, an agent trained in agentgym/TurnControl-v0.')
        self.begin()

    @property
    def takes_requests(self) -> bool:
        """Whether the agent may ask."""
        return self.rule_name == "request"

    def begin(self) -> None:
        """Back to the first limit."""
        self.limit, self.granted, self._asked = self.start, 0, False

    def rule(self, view: View) -> Ruling:
        """Go until the limit, and extend it by the rule."""
        self._asked = self._asked or view.requested
        added = 0
        if view.used >= self.limit and self._deserved(view):
            added = min(self.step, self.cap - self.limit)
            self.limit += added
            self.granted += added > 0
            self._asked = False
        if view.used >= self.limit:
            return Ruling(False, self.limit)
        return Ruling(True, self.limit, self.reminders.text(view.used, self.limit), added)

    def _deserved(self, view: View) -> bool:
        if view.looping or self.granted >= self.extensions:
            return False
        if self.rule_name == "learned":
            return _goes_on(self.policy, view)
        return {"request": self._asked, "automatic": True, "evidence": view.evidence}[self.rule_name]


@dataclass
class Learned:
    """A policy decides before every turn whether the work goes on or is submitted as it is.

    Attributes:
        policy: an agent trained in ``agentgym/TurnControl-v0``, or any object with its ``predict``.
        limit: turns after which it is not asked any more; None: no limit.
    """

    policy: Any = field(repr=False)
    limit: int | None = None
    takes_requests = False

    def __post_init__(self) -> None:
        if not hasattr(self.policy, "predict"):
            raise InvalidParameter("Learned needs a policy, an agent trained in agentgym/TurnControl-v0.")
        self.limit = None if self.limit is None else whole_number("limit", self.limit, 1)

    def begin(self) -> None:
        """Nothing to prepare: the policy sees the whole transcript as features."""

    def rule(self, view: View) -> Ruling:
        """Go on if the policy says so."""
        within = self.limit is None or view.used < self.limit
        return Ruling(within and _goes_on(self.policy, view), self.limit)


def _goes_on(policy: Any, view: View) -> bool:
    action, _ = policy.predict(view.features, deterministic=True)
    return int(action) == CONTINUE


def percentile(turns: Sequence[int], percent: float) -> int:
    """The nearest-rank percentile: the smallest value with at least ``percent`` of all at or below it.

    Raises:
        InvalidParameter: there are no values, or the percentage is not above 0 and at most 100.
    """
    if not turns or not 0 < percent <= 100:
        raise InvalidParameter(
            f"A percentile needs values and a percentage in (0, 100], not {percent!r} of {len(turns)}."
        )
    return sorted(turns)[math.ceil(len(turns) * percent / 100) - 1]


def limits_of(turns: Sequence[int]) -> dict[int, int]:
    """Limits at the paper's 25th, 50th and 75th percentile of unrestricted runs, failed ones included."""
    return {percent: percentile(turns, percent) for percent in (25, 50, 75)}
