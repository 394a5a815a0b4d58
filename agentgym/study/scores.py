"""The scores of a study by question, agent, environment and seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from agentgym.stats import Estimate, Statistic, bootstrap_interval, iqm
from agentgym.study.rows import Row
from agentgym.study.runner import Results

__all__ = ["STATISTICS", "Scores", "estimate", "paired"]

STATISTICS: dict[str, Statistic] = {"iqm": iqm, "mean": np.mean}


@dataclass
class Scores:
    """Rows by question, agent and environment. Failed runs are counted and left out."""

    results: Results
    _rows: dict[tuple[str, str, str], list[Row]] = field(init=False)

    def __post_init__(self) -> None:
        self._rows = {}
        for row in self.results.rows.rows:
            self._rows.setdefault((row["question"], row["agent"], row["env"]), []).append(row)

    def rows(self, question: str, agent: str, env: str) -> list[Row]:
        """All rows of an agent on an environment."""
        return self._rows.get((question, agent, env), [])

    def of(self, question: str, agent: str, env: str, measure: str = "", case: str | None = None) -> dict[int, float]:
        """The runs' values by seed, of one measure; by default the score."""
        protocol = self.results.study.protocol_of(question)
        measure, case = measure or protocol.score, protocol.case if case is None else case
        return {
            int(row["seed"]): float(row[measure])
            for row in self.rows(question, agent, env)
            if not row["error"] and row["case"] == case and row.get(measure)
        }

    def failed(self, question: str, agent: str, env: str) -> int:
        """The number of failed runs."""
        return sum(bool(row["error"]) for row in self.rows(question, agent, env))

    def agents(self, question: str) -> list[str]:
        """The agents of a question that have rows, in the study's order."""
        return self._present(question, 1, [cell.agent for cell in self.results.cells if cell.question == question])

    def envs(self, question: str) -> list[str]:
        """The environments of a question that have rows, in the study's order."""
        return self._present(question, 2, [cell.env for cell in self.results.cells if cell.question == question])

    def _present(self, question: str, place: int, order: list[str]) -> list[str]:
        there = {key[place] for key in self._rows if key[0] == question}
        return [name for name in dict.fromkeys(order) if name in there]


def estimate(values: Mapping[int, float], statistic: str) -> Estimate:
    """The statistic over runs with its 95 % bootstrap interval; NaN ends for a single run."""
    return bootstrap_interval(list(values.values()), STATISTICS[statistic])


def paired(values: Mapping[int, float], baseline: Mapping[int, float]) -> dict[int, float]:
    """The differences from the baseline's runs with the same seeds."""
    return {seed: value - baseline[seed] for seed, value in values.items() if seed in baseline}
