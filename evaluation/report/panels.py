"""The contents of the report before drawing: one panel per plot, one cell per agent and condition."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.agent import PROMISED
from agentgym.errors import InvalidParameter
from agentgym.evaluation.summary import PanelSummary, summaries
from agentgym.evaluation.table import Evaluation, Scene
from agentgym.stats import Estimate, conditions_of

__all__ = ["Cell", "Panel", "differences", "gather", "nominal_returns", "promising"]

UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Cell:
    """The results of one agent under one condition.

    Attributes:
        condition: name of the condition.
        coordinates: its place in the plot.
        mean: mean return with its interval; NaN if no episode finished.
        episodes: numbers of the finished episodes, [n].
        returns: their returns, [n].
        length: mean number of steps of the finished episodes.
        failed: number of episodes that did not finish.
        error: the error of the first of these.
        note: distinct notes of the rows.
        measures: means of the environment's measures over the finished episodes that have them, by name.
    """

    condition: str
    coordinates: dict[str, float | str]
    mean: Estimate
    episodes: NDArray[np.int64]
    returns: NDArray[np.float64]
    length: float
    failed: int
    error: str
    note: str
    measures: dict[str, float]

    @property
    def finished(self) -> int:
        """The number of finished episodes."""
        return len(self.returns)

    @property
    def promised(self) -> float:
        """The mean return predicted for the finished episodes; NaN if the agent predicts none."""
        return self.measures.get(PROMISED, math.nan)


@dataclass
class Panel:
    """One plot: its cells by agent, in the suite's order, the agents' summaries, and the differences asked for."""

    tab: str
    name: str
    kind: str
    axes: tuple[str, ...]
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    summaries: dict[str, PanelSummary] = field(default_factory=dict)
    differences: dict[tuple[str, str], list[Estimate]] = field(default_factory=dict)

    def all_cells(self) -> Iterator[tuple[str, Cell]]:
        """All cells with their agents."""
        return ((agent, cell) for agent, cells in self.cells.items() for cell in cells)

    def values(self, axis: str) -> list[float | str]:
        """The coordinates along one axis: numbers sorted, names in the suite's order."""
        found = list(dict.fromkeys(cell.coordinates[axis] for _, cell in self.all_cells()))
        return found if any(isinstance(value, str) for value in found) else sorted(found)

    def means(self) -> list[float]:
        """All known mean returns."""
        return [cell.mean.value for _, cell in self.all_cells() if cell.finished]


def gather(evaluation: Evaluation) -> list[Panel]:
    """Group the rows of an evaluation into panels, in the suite's order.

    Raises:
        InvalidParameter: rows and scenes do not match.
    """
    _check([agent.name for agent in evaluation.agents], evaluation)
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
        panels[key].cells[summary.agent] = [_cell(evaluation, summary.agent, name, means) for name in names[key]]
        panels[key].summaries[summary.agent] = summary
    return list(panels.values())


def nominal_returns(panels: list[Panel]) -> dict[str, Estimate]:
    """Each agent's mean return in the unperturbed environment, if it was played."""
    for panel in panels:
        if panel.kind == "nominal":
            return {agent: cells[0].mean for agent, cells in panel.cells.items() if cells[0].finished}
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
    key = first, second
    if key not in panel.differences:
        pairs = [_paired(left, right) for left, right in zip(panel.cells[first], panel.cells[second], strict=True)]
        some = [pair for pair in pairs if pair.size]
        known = iter(conditions_of(some) if some else ())
        panel.differences[key] = [next(known) if pair.size else UNKNOWN for pair in pairs]
    return panel.differences[key]


def _paired(left: Cell, right: Cell) -> NDArray[np.float64]:
    """``right`` minus ``left`` for the episodes that both have, in the order of ``left``."""
    _, here, there = np.intersect1d(left.episodes, right.episodes, return_indices=True)
    order = np.argsort(here)
    return right.returns[there[order]] - left.returns[here[order]]


def _cell(evaluation: Evaluation, agent: str, condition: str, means: Iterator[Estimate]) -> Cell:
    rows = evaluation.rows
    places = evaluation.groups.get((agent, condition), np.zeros(0, np.intp))
    ended = evaluation.finished[places]
    finished, failed = places[ended], places[~ended]
    lengths = rows.numbers["length"][finished]
    notes = rows.texts["note"]
    return Cell(
        condition=condition,
        coordinates=evaluation.scenes[condition].coordinates,
        mean=next(means) if len(finished) else UNKNOWN,
        episodes=rows.numbers["episode"][finished],
        returns=rows.numbers["episode_return"][finished],
        length=int(lengths.sum()) / len(finished) if len(finished) else math.nan,
        failed=len(failed),
        error=rows[int(failed[0])].error if len(failed) else "" if len(finished) else "no episode was played",
        note="; ".join(note for code in dict.fromkeys(notes.codes[places].tolist()) if (note := notes.names[code])),
        measures=_measures(evaluation, finished),
    )


def _measures(evaluation: Evaluation, places: NDArray[np.intp]) -> dict[str, float]:
    found = {}
    for name, (values, present) in evaluation.rows.measures.items():
        if present[places].any():
            known = values[places[present[places] & np.isfinite(values[places])]].tolist()
            found[name] = sum(known) / len(known) if known else math.nan
    return found


def _check(agents: list[str], evaluation: Evaluation) -> None:
    if not agents or not evaluation.scenes:
        raise InvalidParameter("There is nothing to report: the evaluation has no agent or no condition.")
    for agent, condition in evaluation.groups:
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
