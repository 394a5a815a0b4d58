"""Both stages together: calibrated detectors, the graph of contagion, and what they say of episodes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.errors import InvalidParameter
from agentgym.evaluation.forensics.benchmark import Data
from agentgym.evaluation.forensics.contagion.stage2 import Contagion
from agentgym.evaluation.forensics.contagion.walk import Evidence, Finding, find_source
from agentgym.evaluation.forensics.detectors.base import held_out
from agentgym.evaluation.forensics.detectors.by_name import make_detector
from agentgym.evaluation.forensics.detectors.combined import Combined
from agentgym.evaluation.forensics.detectors.dynamics import Dynamics
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.monitor import Monitor, Verdicts, require_enough
from agentgym.evaluation.forensics.team import Team

__all__ = ["STAGE2", "Answers", "Examiner"]

BEYOND = 1e6  # stands for scores that no threshold gives a measure of

STAGE2 = (("walk", "action_gap"), ("gate", "action_gap"), ("walk", "critic"), ("gate", "critic"))
"""The rules and edges of stage 2 that are always reported side by side."""

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Answers:
    """What one detector and stage 2 say of E episodes.

    Attributes:
        verdicts: of stage 1.
        findings: of stage 2 by rule and edges ("walk action_gap"), one for each episode; None for no detection.
    """

    verdicts: Verdicts
    findings: dict[str, list[Finding | None]]

    def named(self, stage2: str) -> NDArray[np.int64]:
        """Whom stage 2 names, int64 [E]; -1 for nobody."""
        return np.array([-1 if found is None else found.agent for found in self.findings[stage2]], np.int64)


@dataclass(eq=False)
class Examiner:
    """Monitors and graphs of one team, fitted on clean episodes.

    Attributes:
        team: the team.
        monitors: by the detector's name.
        graphs: stage 2 by its edges; "critic" only if the team's critic can be used.
        refused: why a detector, or the edges "critic", are not there.
    """

    team: Team
    monitors: dict[str, Monitor] = field(default_factory=dict)
    graphs: dict[str, Contagion] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, team: Team, data: Data, detectors: Sequence[str], alpha: float = 0.05, say: Say = lambda text: None
    ) -> "Examiner":
        """Fit detectors, thresholds and graphs.

        What this team cannot have (curvature of ReLU, a critic) is left out, and ``refused`` says why. If nothing that
        was asked for is left, the first refusal is raised.

        Args:
            team: who played.
            data: clean episodes.
            detectors: names.
            alpha: the largest share of clean episodes with an alarm.
            say: called with what is being fitted.

        Raises:
            UnknownId: there is no such detector.
            InvalidParameter: too few episodes for ``alpha``, or no detector is possible.
        """
        require_enough(len(data.fresh), alpha)
        found = cls(team)
        dynamics = _FitOnce(make_detector("dynamics", team, data.contacts))
        gap = _FitOnce(make_detector("policy_gap", team, data.contacts))
        shared: dict[str, Any] = {"dynamics": dynamics, "policy_gap": gap}
        shared["combined"] = Combined([shared["dynamics"], shared["policy_gap"]])
        makers = {name: shared.get(name) or make_detector(name, team, data.contacts) for name in detectors}
        first: InvalidParameter | None = None
        for name, detector in makers.items():
            say(f"fitting {name}")
            try:
                found.monitors[name] = Monitor(detector, alpha).fit(data.clean, data.fresh)
            except InvalidParameter as error:
                first, found.refused[name] = first or error, str(error)
        if first is not None and not found.monitors:
            raise first
        say("fitting the graph")
        dynamics.fit(data.clean)
        scaled = held_out(data.clean)[1]
        found.graphs["action_gap"] = Contagion(team, dynamics.expected, edges="action_gap").fit(scaled)
        try:
            found.graphs["critic"] = Contagion(team, dynamics.expected, edges="critic").fit(scaled)
        except InvalidParameter as error:
            found.refused["critic"] = str(error)
        return found

    @property
    def stage2(self) -> list[str]:
        """The rules and edges that can be had."""
        return [f"{rule} {edges}" for rule, edges in STAGE2 if edges in self.graphs]

    def series(self, episodes: Episodes) -> dict[str, NDArray[np.float64]]:
        """The edges of every step, [E, T, A, A], by kind."""
        return {edges: graph.series(episodes) for edges, graph in self.graphs.items()}

    def answers(
        self, detector: str, episodes: Episodes, series: Mapping[str, NDArray[np.float64]] | None = None,
        scaled: NDArray[np.float64] | None = None,
    ) -> Answers:  # fmt: skip
        """What a detector and stage 2 say.

        Args:
            detector: one of ``monitors``.
            episodes: E episodes of this team.
            series: what :meth:`series` returns for them; computed if None.
            scaled: what the monitor's :meth:`~agentgym.evaluation.forensics.monitor.Monitor.scaled` returns for them;
                computed if None.

        Raises:
            SpaceMismatch: the episodes are of another team.
        """
        monitor = self.monitors[detector]
        verdicts = monitor.verdicts(monitor.scaled(episodes) if scaled is None else scaled)
        edges = self.series(episodes) if series is None else series
        findings: dict[str, list[Finding | None]] = {name: [None] * len(episodes) for name in self.stage2}
        scores = self.scores(detector, verdicts)
        for kind, graph in self.graphs.items():
            assert graph.scale is not None
            for k in np.flatnonzero(verdicts.agent >= 0).tolist():
                evidence = Evidence.of(edges[kind][k], graph.scale, scores[k])
                for rule in [rule for rule, other in STAGE2 if other == kind]:
                    who, when = int(verdicts.agent[k]), int(verdicts.step[k])
                    findings[f"{rule} {kind}"][k] = find_source(evidence, who, when, rule)
        return Answers(verdicts, findings)

    def scores(self, detector: str, verdicts: Verdicts) -> NDArray[np.float64]:
        """Stage 1's scores in units of each agent's clean 95 % quantile, [E, T, A]."""
        threshold = self.monitors[detector].threshold
        if not np.isfinite(threshold):
            return np.zeros_like(verdicts.ratios)
        # Of a threshold of 0, which clean play never passes, only what has passed it is known.
        return np.where(np.isinf(verdicts.ratios), BEYOND, np.minimum(verdicts.ratios, BEYOND) * threshold)


class _FitOnce:
    """A detector that several others use, fitted once on the same episodes."""

    def __init__(self, detector: Any) -> None:
        self.detector, self.name = detector, detector.name
        self._on: Episodes | None = None

    def fit(self, clean: Episodes) -> Any:
        """Fit, unless that has been done."""
        if self._on is not clean:
            self.detector.fit(clean)
            self._on = clean
        return self

    def score(self, episodes: Episodes) -> NDArray[np.float64]:
        """The detector's scores."""
        found: NDArray[np.float64] = self.detector.score(episodes)
        return found

    def expected(self, episodes: Episodes) -> NDArray[Any]:
        """What agents should have received, by a model of the dynamics."""
        assert isinstance(self.detector, Dynamics)
        return self.detector.expected(episodes)
