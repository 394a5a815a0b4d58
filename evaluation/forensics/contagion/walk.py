"""From the agent that was flagged to the agent that failed first: the walk upstream, and the gate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgym.errors import InvalidParameter, UnknownId
from agentgym.evaluation.forensics.contagion.edges import EdgeScale, growth

__all__ = ["RULES", "Evidence", "Finding", "Step", "Tally", "find_source", "risen"]

Floats = NDArray[np.float64]

RULES = ("walk", "gate")


@dataclass(frozen=True)
class Evidence:
    """What is known of one episode.

    Attributes:
        edges: standardised edges, [T, A, A].
        pooled: the same, pooled over the causal window, [T, A, A].
        limit: of pooled edges in clean play, [A, A].
        scores: stage 1's scores in units of each agent's clean 95 % quantile, [T, A].
        steps: length of the causal window.
    """

    edges: Floats
    pooled: Floats
    limit: Floats
    scores: Floats
    steps: int

    @classmethod
    def of(cls, series: Floats, scale: EdgeScale, scores: Floats) -> "Evidence":
        """The evidence of an episode from its series of edges [T, A, A].

        Raises:
            InvalidParameter: scores and edges have other numbers of steps or agents.
        """
        if scores.shape != series.shape[:2]:
            raise InvalidParameter(f"Scores are {list(scores.shape)} for edges of {list(series.shape[:2])}.")
        return cls(scale.standardised(series), scale.pooled(series[None])[0], scale.limit, scores, scale.steps)


@dataclass(frozen=True)
class Step:
    """One step of the walk: the blame moved from ``blamed`` upstream to ``source``.

    Attributes:
        blamed, source: agents.
        when: the step of the episode at which the edge was read.
        edge, limit: the pooled standardised edge, and its clean 95 % quantile.
        source_rose, blamed_rose: since when each one's score was above its clean 95 % quantile.
    """

    blamed: int
    source: int
    when: int
    edge: float
    limit: float
    source_rose: int | None
    blamed_rose: int | None


@dataclass(frozen=True)
class Finding:
    """The outcome of stage 2.

    Attributes:
        agent: who failed first.
        since: the step from which on its score was raised; that of the flag if the blame stayed.
        steps: how the blame moved, in order.
        reason: why it went no further.
    """

    agent: int
    since: int
    steps: tuple[Step, ...]
    reason: str


def risen(scores: Floats, when: int, steps: int) -> list[int | None]:
    """Since when each agent's score has been raised, within the window that ends at ``when``.

    It is the change point of a CUSUM (Page 1954): the start that maximises the sum of (score - 1) up to ``when``. A
    single raised score amid quiet ones is no start, and a gap between raised ones is no end.

    Args:
        scores: [T, A], in units of each agent's clean 95 % quantile.
        when: the last step of the window.
        steps: its length.

    Returns:
        The steps; None where no start has a positive sum.
    """
    start = max(0, when - steps + 1)
    sums = (scores[start : when + 1] - 1.0)[::-1].cumsum(axis=0)[::-1]
    return [start + int(column.argmax()) if column.max() > 0 else None for column in sums.T]


def find_source(evidence: Evidence, candidate: int, when: int, rule: str = "walk") -> Finding:
    """Confirm or correct the candidate of stage 1.

    ``walk`` goes upstream along the strongest edge that is above its clean quantile, grows within the window, and
    starts at an agent whose score rose first; it goes on from there. ``gate`` moves the blame only if the candidate
    sends nothing above its clean quantile and another agent does.

    Args:
        evidence: of the episode.
        candidate: the agent that stage 1 names.
        when: the step at which it was flagged.
        rule: one of ``RULES``.

    Raises:
        UnknownId: no such rule.
        InvalidParameter: no such agent or step.
    """
    length, agents = evidence.scores.shape
    if not 0 <= candidate < agents or not 0 <= when < length:
        raise InvalidParameter(f"There is no agent {candidate} at step {when} of {length} steps of {agents} agents.")
    if rule == "gate":
        return _gate(evidence, candidate, when)
    if rule != "walk":
        raise UnknownId("rule of stage 2", str(rule), RULES)
    agent, since, seen = candidate, when, {candidate}
    steps: list[Step] = []
    while True:
        rose = risen(evidence.scores, since, evidence.steps)
        found = _upstream(evidence, agent, since, rose)
        if found is None:
            return Finding(agent, since, tuple(steps), f"no earlier agent sends a growing influence to agent {agent}")
        if found.source in seen:
            return Finding(agent, since, tuple(steps), f"agents {agent} and {found.source} drive each other")
        steps.append(found)
        seen.add(found.source)
        assert found.source_rose is not None
        agent, since = found.source, found.source_rose


def _upstream(evidence: Evidence, agent: int, when: int, rose: list[int | None]) -> Step | None:
    """The strongest edge into an agent along which the blame moves, if there is one."""
    own = rose[agent]
    grown = growth(evidence.edges[max(0, when - evidence.steps + 1) : when + 1, :, agent])
    best: Step | None = None
    for source, since in enumerate(rose):
        edge, limit = float(evidence.pooled[when, source, agent]), float(evidence.limit[source, agent])
        first = since is not None and since < (when if own is None else own)
        if source == agent or not first or edge <= limit or grown[source] <= 0:
            continue
        if best is None or edge > best.edge:
            best = Step(agent, source, when, edge, limit, since, own)
    return best


def _gate(evidence: Evidence, candidate: int, when: int) -> Finding:
    now = evidence.pooled[when]
    over = now > evidence.limit
    if over[candidate].any():
        return Finding(candidate, when, (), f"agent {candidate} itself sends more than in clean play")
    if not over.any():
        return Finding(candidate, when, (), "nobody sends more than in clean play")
    source, agent = divmod(int(np.where(over, now, -np.inf).argmax()), len(now))
    rose = risen(evidence.scores, when, evidence.steps)
    step = Step(candidate, source, when, float(now[source, agent]), float(evidence.limit[source, agent]),
                rose[source], rose[candidate])  # fmt: skip
    since = when if rose[source] is None else int(rose[source] or 0)
    return Finding(source, since, (step,), f"agent {candidate} sends nothing above clean play, agent {source} does")


@dataclass(frozen=True)
class Tally:
    """What stage 2 did to the answers of stage 1, over the episodes in which stage 1 named somebody.

    Attributes:
        right: right answers of stage 1.
        corrected: wrong answers that stage 2 made right.
        broken: right answers that stage 2 made wrong.
    """

    right: int
    corrected: int
    broken: int

    @classmethod
    def of(cls, first: NDArray[np.int64], second: NDArray[np.int64], truth: NDArray[np.int64]) -> "Tally":
        """The tally of named agents [N]; -1 where nobody is named."""
        before, after = first == truth, second == truth
        return cls(int(before.sum()), int((~before & after).sum()), int((before & ~after).sum()))

    @property
    def after(self) -> int:
        """Right answers after stage 2."""
        return self.right + self.corrected - self.broken
