"""The contents of the report before drawing: one panel per plot, one cell per agent and condition."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from agentgym.contracts.agent import PROMISED
from agentgym.errors import InvalidParameter
from agentgym.evaluation.summary import PanelSummary, summaries
from agentgym.evaluation.table import Evaluation, Row, Scene
from agentgym.stats import Estimate, summarise

__all__ = ["Cell", "Panel", "differences", "gather", "nominal_returns", "promising"]

UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Cell:
    """The results of one agent under one condition.

    Attributes:
        condition: name of the condition.
        coordinates: its place in the plot.
        mean: mean return with its interval; NaN if no episode finished.
        returns: return of each finished episode, by episode number.
        length: mean number of steps of the finished episodes.
        failed: number of episodes that did not finish.
        error: the error of the first of these.
        note: distinct notes of the rows.
        measures: means of the environment's measures over the finished episodes that have them, by name.
    """

    condition: str
    coordinates: dict[str, float | str]
    mean: Estimate
    returns: dict[int, float]
    length: float
    failed: int
    error: str
    note: str
    measures: dict[str, float]

    @property
    def promised(self) -> float:
        """The mean return predicted for the finished episodes; NaN if the agent predicts none."""
        return self.measures.get(PROMISED, math.nan)


@dataclass
class Panel:
    """One plot: its cells by agent, in the suite's order, and the agents' summaries."""

    tab: str
    name: str
    kind: str
    axes: tuple[str, ...]
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    summaries: dict[str, PanelSummary] = field(default_factory=dict)

    def all_cells(self) -> Iterator[tuple[str, Cell]]:
        """All cells with their agents."""
        return ((agent, cell) for agent, cells in self.cells.items() for cell in cells)

    def values(self, axis: str) -> list[float | str]:
        """The coordinates along one axis: numbers sorted, names in the suite's order."""
        found = list(dict.fromkeys(cell.coordinates[axis] for _, cell in self.all_cells()))
        return found if any(isinstance(value, str) for value in found) else sorted(found)

    def means(self) -> list[float]:
        """All known mean returns."""
        return [cell.mean.value for _, cell in self.all_cells() if cell.returns]


def gather(evaluation: Evaluation) -> list[Panel]:
    """Group the rows of an evaluation into panels, in the suite's order.

    Raises:
        InvalidParameter: rows and scenes do not match.
    """
    rows: dict[tuple[str, str], list[Row]] = {}
    for row in evaluation.rows:
        rows.setdefault((row.agent, row.condition), []).append(row)
    agents = [agent.name for agent in evaluation.agents]
    _check(agents, evaluation, rows)
    panels: dict[tuple[str, str], Panel] = {}
    names: dict[tuple[str, str], list[str]] = {}
    for condition, scene in evaluation.scenes.items():
        key = scene.tab, scene.panel
        panel = panels.setdefault(key, Panel(scene.tab, scene.panel, scene.kind, tuple(scene.coordinates)))
        _check_scene(panel, condition, scene)
        names.setdefault(key, []).append(condition)
    for summary in summaries(evaluation):
        key = summary.tab, summary.panel
        means = iter(summary.scores.conditions if summary.scores else ())
        found = ((name, rows.get((summary.agent, name), [])) for name in names[key])
        panels[key].cells[summary.agent] = [_cell(name, evaluation.scenes[name], own, means) for name, own in found]
        panels[key].summaries[summary.agent] = summary
    return list(panels.values())


def nominal_returns(panels: list[Panel]) -> dict[str, Estimate]:
    """Each agent's mean return in the unperturbed environment, if it was played."""
    for panel in panels:
        if panel.kind == "nominal":
            return {agent: cells[0].mean for agent, cells in panel.cells.items() if cells[0].returns}
    return {}


def promising(panels: list[Panel]) -> dict[str, list[tuple[Cell, Panel]]]:
    """For each agent that predicts returns, all cells with a prediction and their panels, in the suite's order."""
    found: dict[str, list[tuple[Cell, Panel]]] = {}
    for panel in panels:
        for agent, cell in panel.all_cells():
            if math.isfinite(cell.promised):
                found.setdefault(agent, []).append((cell, panel))
    return {agent: found[agent] for agent in panels[0].cells if agent in found}


def differences(panel: Panel, first: str, second: str) -> list[Estimate]:
    """Mean return of ``second`` minus ``first`` for each condition; NaN if either has none.

    Episodes with the same number have the same seed for both agents, so differences are taken in pairs.
    """
    pairs = [
        [right.returns[episode] - value for episode, value in left.returns.items() if episode in right.returns]
        for left, right in zip(panel.cells[first], panel.cells[second], strict=True)
    ]
    if not any(pairs):
        return [UNKNOWN] * len(pairs)
    known = iter(summarise([pair for pair in pairs if pair]).conditions)
    return [next(known) if pair else UNKNOWN for pair in pairs]


def _cell(condition: str, scene: Scene, rows: list[Row], means: Iterator[Estimate]) -> Cell:
    finished = [row for row in rows if row.finished]
    failed = [row for row in rows if not row.finished]
    return Cell(
        condition=condition,
        coordinates=scene.coordinates,
        mean=next(means) if finished else UNKNOWN,
        returns={row.episode: row.episode_return for row in finished},
        length=sum(row.length for row in finished) / len(finished) if finished else math.nan,
        failed=len(failed),
        error=failed[0].error if failed else "" if finished else "no episode was played",
        note="; ".join(dict.fromkeys(row.note for row in rows if row.note)),
        measures=_measures(finished),
    )


def _measures(rows: list[Row]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.measures.items():
            found.setdefault(name, []).extend([value] if math.isfinite(value) else [])
    return {name: sum(values) / len(values) if values else math.nan for name, values in found.items()}


def _check(agents: list[str], evaluation: Evaluation, rows: dict[tuple[str, str], list[Row]]) -> None:
    if not agents or not evaluation.scenes:
        raise InvalidParameter("There is nothing to report: the evaluation has no agent or no condition.")
    for agent, condition in rows:
        if agent not in agents:
            raise InvalidParameter(f"The rows name the agent {agent!r}, which the evaluation does not list.")
        if condition not in evaluation.scenes:
            raise InvalidParameter(f"The rows name the condition {condition!r}, which has no scene.")


def _check_scene(panel: Panel, condition: str, scene: Scene) -> None:
    where = f"The condition {condition!r} in {panel.tab} / {panel.name}"
    if scene.kind != panel.kind or set(scene.coordinates) != set(panel.axes):
        raise InvalidParameter(f"{where} has another kind or other coordinates than the conditions before it.")
    needed = {"curve": "intensity", "matrix": "test"}.get(scene.kind)
    if needed is not None and needed not in scene.coordinates:
        raise InvalidParameter(f"{where} is a {scene.kind} without the coordinate {needed!r}.")
    if scene.kind == "grid" and not 1 <= len(scene.coordinates) <= 3:
        raise InvalidParameter(f"{where} is a grid of {len(scene.coordinates)} coordinates; 1 to 3 can be drawn.")
