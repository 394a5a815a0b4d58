"""The benchmark: which detector names who failed first, for which fault."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from agentgym.contracts.settings import whole_number
from agentgym.evaluation.forensics.collect import collect, make_worlds
from agentgym.evaluation.forensics.detectors.base import Detector, held_out
from agentgym.evaluation.forensics.detectors.by_name import make_detector
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.faults import PAGE, Fault
from agentgym.evaluation.forensics.monitor import Monitor, Verdicts, conformal_threshold, require_enough
from agentgym.evaluation.forensics.team import Team

__all__ = ["CLEAN", "Data", "benchmark", "clean_row", "fault_row", "gather", "return_drops", "wilson"]

CLEAN = "clean"
DROP = 0.05  # of the mean size of clean returns: a gap to the twin's return that counts as a drop
Row = dict[str, Any]
Corrector = Callable[[Episodes, Verdicts], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Data:
    """The episodes of a benchmark; no seed is used twice.

    Attributes:
        clean: for fits.
        fresh: clean, for thresholds.
        test: clean, for false alarms.
        faulty: by the name of the fault, with twins.
        contacts: the environment's ``contact_inputs``, if it has them.
    """

    clean: Episodes
    fresh: Episodes
    test: Episodes
    faulty: Mapping[str, Episodes]
    contacts: Any


def gather(
    team: Team,
    env_id: str,
    faults: Sequence[str] = PAGE,
    episodes: int = 500,
    clean: int = 1900,
    fresh: int = 1000,
    env_kwargs: Mapping[str, Any] | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> Data:
    """Play all episodes of a benchmark, greedily.

    Args:
        team: who plays.
        env_id, env_kwargs: where.
        faults: words that :meth:`Fault.parse` reads.
        episodes: for each fault, and clean ones for false alarms.
        clean: for fits: four fifths for models, the last fifth for scales.
        fresh: clean ones for thresholds.
        noise: standard deviation of the sensor noise of all episodes.
        seed: the first seed of the episodes.

    Raises:
        UnknownId, InvalidParameter: a fault does not exist or does not fit; nothing was played.
    """
    parsed = [Fault.parse(words) for words in faults]
    for what, count in {"episodes": episodes, "clean": clean, "fresh": fresh}.items():
        whole_number(what, count, 1)
    first = whole_number("seed", seed, 0)
    world = make_worlds(env_id, env_kwargs, 1)
    contacts = getattr(world, "contact_inputs", None)
    sets: list[Episodes] = []
    for count in (clean, fresh, episodes):
        sets.append(collect(team, env_id, range(first, first + count), None, env_kwargs, noise))
        first += count
    faulty = {}
    for fault in parsed:
        seeds = range(first, first + episodes)
        faulty[fault.name] = collect(team, env_id, seeds, fault, env_kwargs, noise, with_twin=True)
        first += episodes
    return Data(sets[0], sets[1], sets[2], faulty, contacts)


def benchmark(
    team: Team,
    data: Data,
    detectors: Sequence[str | Detector],
    alpha: float | Sequence[float] = 0.05,
    scaling: Literal["agent", "time"] = "agent",
    correct: Corrector | None = None,
) -> list[Row]:
    """Fit and calibrate detectors, and judge them: one row for each detector, alpha and fault or clean episodes.

    Args:
        team: who played.
        data: what :func:`gather` returned.
        detectors: names, or detectors.
        alpha: the largest share of clean episodes with an alarm; of several, a detector is fitted once.
        scaling: see :class:`~agentgym.evaluation.forensics.monitor.Monitor`.
        correct: a second stage, from episodes and verdicts to the agents that it names, int64 [E].

    Raises:
        UnknownId: there is no such detector.
        InvalidParameter: too few episodes for ``alpha``, or a detector refuses the team.
    """
    alphas = [alpha] if isinstance(alpha, int | float) else list(alpha)
    for each in alphas:
        require_enough(len(data.fresh), each)
    made = [make_detector(each, team, data.contacts) if isinstance(each, str) else each for each in detectors]
    rows = []
    for given, detector in zip(detectors, made, strict=True):
        detector.fit(data.clean)
        monitor = Monitor(detector, alphas[0], scaling).calibrate(held_out(data.clean)[1], data.fresh)
        fresh, test = monitor.scaled(data.fresh).max((1, 2)), monitor.scaled(data.test)
        faulty = [(episodes, monitor.scaled(episodes)) for episodes in data.faulty.values()]
        for level in alphas:
            monitor.threshold = conformal_threshold(fresh, level)
            head = {"detector": given if isinstance(given, str) else detector.name, "alpha": level, "scaling": scaling}
            rows.append(head | clean_row(monitor.verdicts(test)))
            for episodes, scaled in faulty:
                verdicts = monitor.verdicts(scaled)
                named = None if correct is None else correct(episodes, verdicts)
                rows.append(head | fault_row(episodes, verdicts, named))
    return rows


def clean_row(verdicts: Verdicts) -> Row:
    """False alarms in clean episodes, a share with its Wilson interval."""
    count = int((verdicts.agent >= 0).sum())
    low, high = wilson(count, len(verdicts.agent))
    return {
        "fault": CLEAN, "episodes": len(verdicts.agent), "alarms": count / len(verdicts.agent), "alarms_low": low,
        "alarms_high": high,
    }  # fmt: skip


def fault_row(episodes: Episodes, verdicts: Verdicts, named: NDArray[np.int64] | None = None) -> Row:
    """How often the victim is named, at or after the onset, with the Wilson interval, and how the others go wrong.

    A benign shift has no victim: its row has alarms alone.

    Args:
        episodes: with truth; with twins for lead times.
        verdicts: of a monitor.
        named: whom a second stage names, -1 for nobody.
    """
    truth = episodes.truth
    assert truth is not None
    count = len(episodes)
    flagged = verdicts.agent >= 0
    row: Row = {"fault": episodes.fault, "episodes": count, "alarms": float(flagged.mean())}
    if (truth.victim < 0).all():
        return row
    due = flagged & (verdicts.step >= truth.onset)
    hit = due & (verdicts.agent == truth.victim)
    low, high = wilson(int(hit.sum()), count)
    delay = (verdicts.step - truth.onset)[hit]
    row |= {
        "accuracy": float(hit.mean()), "low": low, "high": high,
        "missed": float((~flagged).mean()),  # no detection
        "early": float((flagged & ~due).mean()),  # somebody flagged before the onset
        "downstream": float((due & ~hit).mean()),  # after the onset somebody else was flagged first
        "delay": float(np.median(delay)) if len(delay) else None,  # steps, of those named
    }  # fmt: skip
    drops = return_drops(episodes)
    known = hit & (drops >= 0)
    row["lead"] = float(np.median((drops - verdicts.step)[known])) if known.any() else None
    row["return_lost"] = None if episodes.twin is None else float((episodes.twin.returns - episodes.returns).mean())
    if named is not None:
        right = due & (named == truth.victim)
        low, high = wilson(int(right.sum()), count)
        row |= {
            "accuracy_2": float(right.mean()), "low_2": low, "high_2": high,
            "corrected": int((right & ~hit).sum()), "broken": int((hit & ~right).sum()),
        }  # fmt: skip
    return row


def return_drops(episodes: Episodes) -> NDArray[np.int64]:
    """When an episode falls behind its clean twin by 5 % of the mean size of the twins' returns.

    Returns:
        The first such step, int64 [E]; -1 for never, or without twins.
    """
    if episodes.twin is None:
        return np.full(len(episodes), -1)
    own, clean = (np.where(e.alive, e.rewards, 0.0).sum(2).cumsum(1) for e in (episodes, episodes.twin))
    behind = clean - own > DROP * np.abs(episodes.twin.returns).mean()
    return np.where(behind.any(1), behind.argmax(1), -1)


def wilson(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share."""
    interval = binomtest(hits, count).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)
