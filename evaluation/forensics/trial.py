"""A trial of detectors on faults: a table of both stages, and a row for each episode."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.evaluation.forensics.benchmark import CLEAN, Data, clean_row, fault_row, gather, return_drops
from agentgym.evaluation.forensics.collect import collect
from agentgym.evaluation.forensics.detectors.by_name import DETECTORS
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.examiner import Answers, Examiner
from agentgym.evaluation.forensics.faults import Fault
from agentgym.evaluation.forensics.monitor import require_enough
from agentgym.evaluation.forensics.team import Team

__all__ = ["Plan", "Trial", "run_trial"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is played and asked.

    Args:
        faults: words such as "gauss:0.5"; see :class:`~agentgym.evaluation.forensics.faults.Fault`.
        detectors: names.
        episodes: of each fault, and clean ones for false alarms.
        alpha: the largest share of clean episodes with an alarm.
        noise: standard deviation of sensor noise that is always there.
        seed: the first seed of the episodes.
        clean: clean episodes for fits: four fifths for models, one fifth for scales.
        fresh: further clean episodes for thresholds; None for 1,000, or 20 / alpha if that is more.

    Raises:
        UnknownId: no such fault or detector.
        InvalidParameter: a number is out of range, or there are too few episodes for ``alpha``.
    """

    faults: Sequence[str] = ()
    detectors: Sequence[str] = ("combined",)
    episodes: int = 500
    alpha: float = 0.05
    noise: float = 0.0
    seed: int = 0
    clean: int = 1900
    fresh: int | None = None

    def __post_init__(self) -> None:
        for fault in self.faults:
            Fault.parse(fault)
        if not self.detectors:
            raise InvalidParameter("Name at least one detector, for instance 'combined'.")
        for name in self.detectors:
            if name not in DETECTORS:
                raise UnknownId("detector", name, DETECTORS)
        for what, least in (("episodes", 1), ("clean", 1), ("seed", 0)):
            whole_number(what, getattr(self, what), least)
        finite_number("noise", self.noise, 0.0)
        finite_number("alpha", self.alpha, 0.0, 1.0, above=True)
        if self.fresh is not None:
            require_enough(whole_number("fresh", self.fresh, 0), self.alpha)

    @property
    def thresholds_from(self) -> int:
        """How many clean episodes thresholds are made of."""
        return max(1000, round(20 / self.alpha)) if self.fresh is None else self.fresh

    @property
    def parts(self) -> int:
        """How many times :func:`run_trial` says what it does."""
        return 2 + len(set(self.detectors)) * (2 + len(self.faults))

    def gather(self, team: Team, env: str, env_kwargs: Mapping[str, Any] | None, faults: Sequence[str]) -> Data:
        """Play the clean episodes, and those with these faults."""
        return gather(
            team, env, faults, self.episodes, self.clean, self.thresholds_from, env_kwargs, self.noise, self.seed
        )


@dataclass(eq=False)
class Trial:
    """What was found.

    Attributes:
        plan: what was asked.
        data: the episodes.
        examiner: the fitted detectors and graphs.
        table: a row for each detector and fault, or clean episodes: shares with Wilson intervals, and for each rule and
            edges of stage 2 the accuracy after it, and what it corrected and broke.
        rows: a row for each detector, condition and episode: who was named, and when.
        answers: by detector and condition.
    """

    plan: Plan
    data: Data
    examiner: Examiner
    table: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    answers: dict[tuple[str, str], Answers] = field(default_factory=dict)

    def condition(self, name: str) -> Episodes:
        """The episodes of a fault, or clean ones."""
        return self.data.test if name == CLEAN else self.data.faulty[name]


def run_trial(
    team: Team, env: str, env_kwargs: Mapping[str, Any] | None, plan: Plan, say: Callable[[str], None] = lambda _: None
) -> Trial:
    """Play, fit and ask.

    Args:
        team: who plays.
        env, env_kwargs: where.
        plan: what is played and asked.
        say: called with what is done next, :attr:`Plan.parts` times.

    Raises:
        InvalidParameter: a fault or a detector does not fit the environment or the team.
        SpaceMismatch: the environment's spaces are not the team's.
    """
    for words in plan.faults:  # what does not fit is refused before the work
        collect(team, env, [plan.seed], Fault.parse(words), env_kwargs, plan.noise)
    say("playing")
    data = plan.gather(team, env, env_kwargs, plan.faults)
    trial = Trial(plan, data, Examiner.fit(team, data, plan.detectors, plan.alpha, say))
    for condition in (CLEAN, *data.faulty):
        episodes = trial.condition(condition)
        series = trial.examiner.series(episodes)
        for detector in trial.examiner.monitors:
            say(f"{detector}, {condition}")
            answers = trial.examiner.answers(detector, episodes, series)
            trial.answers[detector, condition] = answers
            trial.table.append(_line(detector, condition, episodes, answers, plan))
            trial.rows += _rows(detector, condition, episodes, answers)
    return trial


def _line(detector: str, condition: str, episodes: Episodes, answers: Answers, plan: Plan) -> Row:
    head = {"detector": detector, "alpha": plan.alpha, "noise": plan.noise}
    if condition == CLEAN:
        return {**head, **clean_row(answers.verdicts)}
    line: Row = {**head, **fault_row(episodes, answers.verdicts)}
    for name in answers.findings if "accuracy" in line else ():
        both = fault_row(episodes, answers.verdicts, answers.named(name))
        parts = {"accuracy": "accuracy_2", "low": "low_2", "high": "high_2"}
        line |= {f"{name}: {ours}": both[theirs] for ours, theirs in parts.items()}
        line |= {f"{name}: {count}": both[count] for count in ("corrected", "broken")}
    return line


def _rows(detector: str, condition: str, episodes: Episodes, answers: Answers) -> list[Row]:
    truth, verdicts, drops = episodes.truth, answers.verdicts, return_drops(episodes)
    named = {name: answers.named(name) for name in answers.findings}
    returns = episodes.returns
    twins = None if episodes.twin is None else episodes.twin.returns
    return [
        {
            "detector": detector, "fault": condition,
            "seed": "" if episodes.seeds is None else int(episodes.seeds[k]),
            "victim": "" if truth is None else int(truth.victim[k]),
            "onset": "" if truth is None else int(truth.onset[k]),
            "agent": int(verdicts.agent[k]), "step": int(verdicts.step[k]),
            **{name: int(each[k]) for name, each in named.items()},
            "drop": int(drops[k]), "return": float(returns[k]),
            "twin_return": "" if twins is None else float(twins[k]),
        }
        for k in range(len(episodes))
    ]  # fmt: skip
