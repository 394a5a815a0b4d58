"""The result of an evaluation: conditions, one row per episode, and the folder in which it is stored.

reports/NAME/
    evaluation.json   suite, agents, conditions, episodes, seed, command, versions
    rows.csv          one row per episode; failed ones have an error. Or rows.parquet, smaller and faster
    summary.csv       mean, IQM, CVaR, worst with intervals, one row per agent and panel
    report.html       the report
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agentgym.errors import CorruptFile, MissingExtra
from agentgym.evaluation.rows import Row, Rows, require_parquet
from agentgym.runs.files import write_file

__all__ = ["AgentRecord", "Evaluation", "Format", "Row", "Rows", "Scene"]

Format = Literal["csv", "parquet"]


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


@dataclass
class Evaluation:
    """A complete evaluation.

    Attributes:
        suite: names of the suites.
        agents: the agents, in the order of the plots.
        scenes: each condition's place in the plots by its name, in suite order.
        rows: one per episode; any sequence of them is gathered into :class:`Rows`.
        meta: command, versions, settings.
        kept: what others have computed from the rows, by name.
    """

    suite: str
    agents: list[AgentRecord]
    scenes: dict[str, Scene]
    rows: Rows
    meta: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.rows, Rows):
            self.rows = Rows.of(self.rows)

    @cached_property
    def groups(self) -> dict[tuple[str, str], NDArray[np.intp]]:
        """The places in ``rows`` of each agent and condition, in episode order."""
        return self.rows.groups()

    def scores(self, agent: str, condition: str) -> NDArray[np.float64]:
        """The returns of the finished episodes of one agent under one condition, in episode order."""
        places = self.groups.get((agent, condition), np.zeros(0, np.intp))
        found: NDArray[np.float64] = self.rows.numbers["episode_return"][places[self.finished[places]]]
        return found

    def returns(self, agent: str, condition: str) -> list[float]:
        """The same as a list."""
        return list(map(float, self.scores(agent, condition)))

    @cached_property
    def finished(self) -> NDArray[np.bool_]:
        """Which rows have a return."""
        return self.rows.finished

    def failures(self) -> Sequence[Row]:
        """The rows of episodes that did not finish."""
        return self.rows.take(~self.finished)

    def write(self, folder: Path | str, rows: Format = "csv") -> Path:
        """Write evaluation.json, and the rows as rows.csv or rows.parquet.

        Raises:
            MissingExtra: Parquet is asked for and pyarrow is not installed.
        """
        if rows == "parquet":
            require_parquet()
        folder = Path(folder)
        head = {
            "suite": self.suite,
            "agents": [asdict(agent) for agent in self.agents],
            "scenes": {name: asdict(scene) for name, scene in self.scenes.items()},
            "rows": f"rows.{rows}",
            "meta": self.meta,
        }
        write_file(folder / "evaluation.json", json.dumps(head, indent=1))
        getattr(self.rows, f"write_{rows}")(folder / f"rows.{rows}")
        for other in set(get_args(Format)) - {rows}:  # left over from a replaced evaluation
            (folder / f"rows.{other}").unlink(missing_ok=True)
        return folder

    @classmethod
    def read(cls, folder: Path | str) -> "Evaluation":
        """Read an evaluation that :meth:`write` wrote.

        Raises:
            FileNotFoundError: the folder has no evaluation.
            CorruptFile: one of its files is damaged.
            MissingExtra: its rows are Parquet and pyarrow is not installed.
        """
        folder = Path(folder)
        _require(folder, "evaluation.json")
        try:
            head = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
            name = head.get("rows", "rows.csv")
            if name not in [f"rows.{known}" for known in get_args(Format)]:
                raise ValueError(f"its rows are in {name!r}")
            _require(folder, name)
            return cls(
                suite=head["suite"],
                agents=[AgentRecord(**agent) for agent in head["agents"]],
                scenes={name: Scene(**scene) for name, scene in head["scenes"].items()},
                rows=getattr(Rows, f"read_{name.removeprefix('rows.')}")(folder / name),
                meta=head["meta"],
            )
        except MissingExtra:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, csv.Error) as error:
            raise CorruptFile(f"{folder} holds a damaged evaluation ({error}). Run agentgym evaluate again.") from error


def _require(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise FileNotFoundError(f"{folder} holds no evaluation ({name} is missing). Make one: agentgym evaluate --help")
