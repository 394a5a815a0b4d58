"""What the rows of a study say: scores over environments, comparisons in pairs, learning curves, efficiency.

The statistics are those of Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
with runs redrawn within their environment. Where environments are put together, scores are normalised: 0 and 1 are the
environment's ``reference``, by default the worst and the best score of the question's runs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentgym.stats import Estimate, bootstrap_band, bootstrap_interval, performance_profile, probability_of_improvement
from agentgym.study.rows import Row
from agentgym.study.runner import Results
from agentgym.study.scores import STATISTICS, Scores, estimate, paired

__all__ = ["AXES", "Band", "Efficiency", "Evidence"]

Floats = NDArray[np.float64]
Axis = Literal["step", "updates", "seconds"]
AXES: dict[Axis, str] = {"step": "environment steps", "updates": "gradient steps", "seconds": "seconds"}
POINTS = 60  # of a band
UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Band:
    """A learning curve over seeds: the statistic and its 95 % interval at ``x``, from ``runs`` runs."""

    x: Floats
    value: Floats
    low: Floats
    high: Floats
    runs: int


@dataclass(frozen=True)
class Efficiency:
    """How fast an agent learns in one environment.

    Attributes:
        area: mean of the curve over the steps that all agents' runs have in common.
        target: the level that is asked for.
        reached: number of runs whose curve reaches it.
        runs: number of runs with a curve.
        steps: median steps until then over all runs, infinity if most do not reach it.
        seconds: the same in seconds.
        speed: steps a second.
    """

    area: Estimate
    target: float
    reached: int
    runs: int
    steps: float
    seconds: float
    speed: float


class Evidence:
    """The evidence of one question.

    Args:
        results: the study with its rows.
        question: key of the question.
    """

    def __init__(self, results: Results, question: str) -> None:
        self.results, self.question = results, question
        self.scores = Scores(results)
        self.protocol = results.study.protocol_of(question)
        self.agents, self.envs = self.scores.agents(question), self.scores.envs(question)
        self.baseline = results.study.baseline_of(question)
        self.sign = 1.0 if self.protocol.better == "higher" else -1.0

    # Final scores

    def runs(self, agent: str, env: str) -> dict[int, float]:
        """The final scores by seed."""
        return self.scores.of(self.question, agent, env)

    def final(self, agent: str, env: str) -> Estimate:
        """The final score over seeds; NaN if there is none."""
        runs = self.runs(agent, env)
        return estimate(runs, self.protocol.statistic) if runs else UNKNOWN

    def normalised(self, agent: str, env: str) -> list[float]:
        """The final scores on the scale of the environment's references; higher is better."""
        low, high = self._scale[env]
        return [(value - low) / (high - low) for value in self.runs(agent, env).values()]

    @cached_property
    def _scale(self) -> dict[str, tuple[float, float]]:
        found = {}
        for env in self.envs:
            values = [value for agent in self.agents for value in self.runs(agent, env).values()] or [0.0]
            given = self.results.study.envs[env].reference
            low, high = given or ((min(values), max(values)) if self.sign > 0 else (max(values), min(values)))
            found[env] = low, high
        return found

    @property
    def common(self) -> list[str]:
        """The environments in which every trained agent has a run, and not all scores are equal."""
        trained = [agent for agent in self.agents if not self.results.study.agents[agent].controller]
        return [
            env
            for env in self.envs
            if trained and all(self.runs(agent, env) for agent in trained) and len(set(self._scale[env])) == 2
        ]

    @property
    def compared(self) -> list[str]:
        """The agents that have a run in every common environment."""
        return [agent for agent in self.agents if self.common and all(self.runs(agent, env) for env in self.common)]

    def aggregate(self, agent: str, statistic: str) -> Estimate:
        """IQM or mean of the normalised scores of all runs in the common environments."""
        return bootstrap_interval([self.normalised(agent, env) for env in self.common], STATISTICS[statistic])

    def profile(self, agent: str, thresholds: Floats) -> tuple[Floats, Floats, Floats]:
        """The share of runs above each normalised score, with its 95 % interval, [T] each."""
        groups = [self.normalised(agent, env) for env in self.common]
        ends = [
            bootstrap_interval(groups, lambda x, axis, tau=tau: (x > tau).mean(axis=axis), resamples=500)
            for tau in thresholds
        ]
        value = performance_profile(np.concatenate(groups), thresholds)
        return value, np.array([end.low for end in ends]), np.array([end.high for end in ends])

    def improvement(self, agent: str, other: str) -> Estimate:
        """How likely a run of ``agent`` is better than one of ``other`` in the same environment."""
        a, b = ([self.normalised(each, env) for env in self.common] for each in (agent, other))
        return probability_of_improvement(a, b)

    def difference(self, agent: str, env: str) -> Estimate:
        """Mean difference from the baseline in pairs of runs with equal seeds; NaN without a pair."""
        pairs = paired(self.runs(agent, env), self.runs(self.baseline, env)) if self.baseline else {}
        return bootstrap_interval(list(pairs.values()), np.mean) if pairs else UNKNOWN

    # Learning curves

    @property
    def curve_names(self) -> list[str]:
        """The names of the curves."""
        return list(self.results.study.curves.metrics) or ["return"]

    @cached_property
    def _points(self) -> dict[tuple[str, str], dict[str, list[Row]]]:
        found: dict[tuple[str, str], dict[str, list[Row]]] = {}
        for row in self.results.curves.rows:
            if row["question"] == self.question:
                found.setdefault((row["agent"], row["env"]), {}).setdefault(row["seed"], []).append(row)
        return found

    def curves(self, agent: str, env: str, name: str, axis: Axis = "step") -> list[tuple[Floats, Floats]]:
        """One curve a run: places on the axis, and values."""
        return list(self._by_seed(agent, env, name, axis).values())

    def _by_seed(self, agent: str, env: str, name: str, axis: Axis = "step") -> dict[str, tuple[Floats, Floats]]:
        found = {}
        for seed, rows in self._points.get((agent, env), {}).items():
            known = [(float(row[axis]), float(row[name])) for row in rows if row.get(axis) and row.get(name)]
            if len(known) > 1:
                x, y = np.array(known).T
                found[seed] = x, y
        return found

    def band(self, agent: str, env: str, name: str, axis: Axis = "step") -> Band | None:
        """The curves of all runs together, over the part of the axis that they share; None if there is none."""
        curves = self.curves(agent, env, name, axis)
        if not curves:
            return None
        first, last = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
        if first >= last:
            return None
        x = np.linspace(first, last, POINTS)
        together = np.stack([np.interp(x, *curve) for curve in curves])
        return Band(x, *bootstrap_band(together, STATISTICS[self.protocol.statistic]), len(curves))

    @property
    def curve_sign(self) -> float:
        """1 where higher values of the first curve are better, else -1."""
        own, protocol = self.results.study.curves.better, self.protocol
        better = own or (protocol.better if self.curve_names[0] == protocol.score else "higher")
        return 1.0 if better == "higher" else -1.0

    def efficiency(self, env: str) -> Mapping[str, Efficiency]:
        """How fast the agents learn; the target is where the baseline's curve ends, else the worst end of a curve."""
        name, sign = self.curve_names[0], self.curve_sign
        curves = {agent: self._by_seed(agent, env, name) for agent in self.agents}
        bands = {agent: band for agent in self.agents if (band := self.band(agent, env, name))}
        if not bands:
            return {}
        ends = {agent: float(band.value[-1]) for agent, band in bands.items()}
        target = ends.get(self.baseline, min(ends.values(), key=lambda end: sign * end))
        first = max(x[0] for agent in bands for x, _ in curves[agent].values())
        last = min(x[-1] for agent in bands for x, _ in curves[agent].values())
        if first >= last:
            return {}
        found = {}
        for agent in bands:
            grid = np.linspace(first, last, POINTS)
            areas = [float(np.interp(grid, x, y).mean()) for x, y in curves[agent].values()]
            steps = [_first(x, sign * y, sign * target) for x, y in curves[agent].values()]
            timed = self._by_seed(agent, env, name, "seconds")  # of some runs only, where others have no times
            seconds = [_first(x, sign * y, sign * target) for x, y in timed.values()]
            pairs = [(curves[agent][seed][0][-1], t[-1]) for seed, (t, _) in timed.items() if t[-1] > 0]
            found[agent] = Efficiency(
                bootstrap_interval(areas, STATISTICS[self.protocol.statistic]), target,
                sum(map(math.isfinite, steps)), len(steps), float(np.median(steps)),
                float(np.median(seconds)) if seconds else math.nan,
                float(np.mean([s / t for s, t in pairs])) if pairs else math.nan,
            )  # fmt: skip
        return found


def _first(x: Floats, y: Floats, target: float) -> float:
    """Where a curve first reaches the target from below; infinity if it does not."""
    there = np.flatnonzero(y >= target)
    return float(x[there[0]]) if len(there) else math.inf
