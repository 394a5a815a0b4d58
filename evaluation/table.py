"""The result of an evaluation: conditions, one row per episode, and the folder in which it is stored.

reports/NAME/
    evaluation.json   suite, agents, conditions, episodes, seed, command, versions
    rows.csv          one row per episode; failed ones have an error
    summary.csv       mean, IQM, CVaR, worst with intervals, one row per agent and panel
    report.html       the report
"""

import csv
import io
import json
import math
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from agentgym.errors import CorruptFile
from agentgym.runs.files import write_file

__all__ = ["AgentRecord", "Evaluation", "Row", "Scene"]


@dataclass(frozen=True)
class Scene:
    """The place of a condition in the plots.

    Attributes:
        tab: the report's tab, e.g. "Parameter grid", "Observation", "Action".
        panel: the plot within the tab, e.g. "noise" or "torso_mass x friction".
        kind: "nominal" (one number), "grid" (a heat map over one to three coordinates), "curve" (score over the
            coordinate named "intensity") or "matrix" (train x test; the coordinate is named "test").
        coordinates: the condition's place in the plot.
    """

    tab: str
    panel: str
    kind: Literal["nominal", "grid", "curve", "matrix"]
    coordinates: dict[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentRecord:
    """An evaluated agent: its name in the rows, its algorithm, its training environment, and its path."""

    name: str
    algorithm: str
    trained_in: str
    source: str
    steps: int = 0


@dataclass(frozen=True)
class Row:
    """One episode of one agent under one condition.

    ``episode_return`` is the undiscounted sum of the environment's true rewards (never of perturbed ones). It is NaN if
    there is an ``error``. ``note`` reports other events, such as a worker that died and was replaced. ``measures`` are
    the environment's values for the whole episode from ``info["measures"]``, by name.
    """

    agent: str
    condition: str
    episode: int
    seed: int
    episode_return: float
    length: int
    error: str = ""
    note: str = ""
    measures: dict[str, float] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the episode ended and has a return."""
        return math.isfinite(self.episode_return) and not self.error


@dataclass
class Evaluation:
    """A complete evaluation. ``scenes`` maps each condition's name to its place in the plots, in suite order."""

    suite: str
    agents: list[AgentRecord]
    scenes: dict[str, Scene]
    rows: list[Row]
    meta: dict[str, Any] = field(default_factory=dict)

    def returns(self, agent: str, condition: str) -> list[float]:
        """The returns of the finished episodes of one agent under one condition, in episode order."""
        return self._returns.get((agent, condition), [])

    @cached_property
    def _returns(self) -> dict[tuple[str, str], list[float]]:
        found: dict[tuple[str, str], list[float]] = {}
        for row in self.rows:
            if row.finished:
                found.setdefault((row.agent, row.condition), []).append(row.episode_return)
        return found

    def write(self, folder: Path | str) -> Path:
        """Write evaluation.json and rows.csv."""
        folder = Path(folder)
        head = {
            "suite": self.suite,
            "agents": [asdict(agent) for agent in self.agents],
            "scenes": {name: asdict(scene) for name, scene in self.scenes.items()},
            "meta": self.meta,
        }
        write_file(folder / "evaluation.json", json.dumps(head, indent=1))
        write_file(folder / "rows.csv", _as_csv(self.rows))
        return folder

    @classmethod
    def read(cls, folder: Path | str) -> "Evaluation":
        """Read an evaluation that :meth:`write` wrote.

        Raises:
            FileNotFoundError: the folder has no evaluation.
            CorruptFile: one of its files is damaged.
        """
        folder = Path(folder)
        for name in ("evaluation.json", "rows.csv"):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"{folder} holds no evaluation ({name} is missing). Make one: agentgym evaluate --help"
                )
        try:
            head = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
            return cls(
                suite=head["suite"],
                agents=[AgentRecord(**agent) for agent in head["agents"]],
                scenes={name: Scene(**scene) for name, scene in head["scenes"].items()},
                rows=_from_csv((folder / "rows.csv").read_text(encoding="utf-8")),
                meta=head["meta"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptFile(f"{folder} holds a damaged evaluation ({error}). Run agentgym evaluate again.") from error


COLUMNS = ("agent", "condition", "episode", "seed", "return", "length", "error", "note", "measures")


def _as_csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        measures = json.dumps(row.measures) if row.measures else ""
        writer.writerow({**asdict(row), "measures": measures}.values())  # floats by repr, so they are read back exactly
    return text.getvalue()


def _not_finite(returned: str) -> str:
    """The error for a return that is not finite, in files of older versions or of other programs."""
    return "" if math.isfinite(float(returned)) else f"NonFinite: the return is {returned}."


def _from_csv(text: str) -> list[Row]:
    return [
        Row(
            agent=line["agent"],
            condition=line["condition"],
            episode=int(line["episode"]),
            seed=int(line["seed"]),
            episode_return=float(line["return"]),
            length=int(line["length"]),
            error=line["error"] or _not_finite(line["return"]),
            note=line["note"],
            measures=json.loads(line["measures"] or "{}"),
        )
        for line in csv.DictReader(io.StringIO(text))
    ]
