"""Many tasks under several controls, in a folder: what was paid for stays there, and a stopped batch goes on.

FOLDER/
    solve.json                 what all runs of the folder share: environment, model, limits
    rows.csv                   one row for each control and task
    records/CONTROL/TASK.jsonl the answers, see :mod:`agentgym.agents.coding.trajectory`
"""

import csv
import io
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from agentgym.agents.coding.costs import Price, Usage, cost_of
from agentgym.agents.coding.loop import solve
from agentgym.agents.coding.models import Model, ModelError
from agentgym.agents.coding.trajectory import Trajectory
from agentgym.errors import AskError, CorruptFile, InvalidParameter
from agentgym.runs.files import write_file
from agentgym.runs.locks import locked
from agentgym.turns.control import Control
from agentgym.turns.paired import Paired, paired

__all__ = ["Row", "Setup", "Task", "compared", "play_batch", "read_rows", "require_folder", "tasks_of", "turns_of"]

SETUP, ROWS = "solve.json", "rows.csv"


@dataclass(frozen=True)
class Task:
    """A task: its name in the rows, the episode's seed, and arguments of the environment for it alone."""

    name: str
    seed: int
    env_kwargs: dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """What all runs of a folder share.

    Attributes:
        env, env_kwargs: the environment.
        model: the model's name.
        max_tokens, temperature: of its answers.
        cost_limit, time_limit: of a task, in dollars and seconds; None: none.
    """

    env: str
    env_kwargs: dict[str, Any]
    model: str
    max_tokens: int
    temperature: float
    cost_limit: float | None = None
    time_limit: float | None = None


@dataclass(frozen=True)
class Row:
    """A run in ``rows.csv``; the fields are those of :class:`Trajectory`, tokens those of :class:`Usage`.

    ``solved`` is None without a verdict. Tokens and costs (dollars, with and without the cache) are None if unknown.
    """

    control: str
    task: str
    seed: int
    kind: str
    exit: str
    solved: bool | None
    submitted: str
    turns: int
    reminders: int
    extensions: int
    fresh: int | None
    cached: int | None
    written: int | None
    output: int | None
    cost: float | None
    cost_uncached: float | None
    reward: float
    level: str
    detail: str

    @classmethod
    def of(cls, run: Trajectory, control: str, task: Task) -> "Row":
        """The row of a run, still without costs."""
        usage = run.usage
        tokens = dict.fromkeys(("fresh", "cached", "written", "output")) if usage is None else asdict(usage)
        return cls(
            control=control, task=task.name, seed=task.seed, kind=run.kind, exit=run.exit, solved=run.solved,
            submitted=run.submitted, turns=len(run.turns), reminders=run.reminders, extensions=run.extensions,
            cost=None, cost_uncached=None, reward=round(run.reward, 6), level=run.level,
            detail=" ".join(run.detail.split()), **tokens,
        )  # fmt: skip

    def priced(self, price: Price | None) -> "Row":
        """The row with costs at a price."""
        usage = None if self.fresh is None else Usage(self.fresh, self.cached or 0, self.written or 0, self.output or 0)
        cost = cost_of(usage, price)
        if cost is None:
            return replace(self, cost=None, cost_uncached=None)
        return replace(self, cost=cost.cached, cost_uncached=cost.uncached)


def tasks_of(env: str, env_kwargs: Mapping[str, Any], count: int, seed: int) -> list[Task]:
    """The tasks: the seeds from ``seed`` on, or, of an environment with a list of tasks, the first of the list.

    Raises:
        InvalidParameter: the environment has no command ``submit``, or its list is shorter.
    """
    with closing(gymnasium.make(env, **env_kwargs)) as made:
        world = getattr(made.unwrapped, "world", None)
        if "submit" not in getattr(world, "verbs", ()):
            raise InvalidParameter(f"{env} has no command submit, which ends a task: try agentgym/CodeRepair-v0.")
        names: list[str] | None = getattr(made.unwrapped, "task_names", None)
    if names is None:
        return [Task(str(number), number, {}) for number in range(seed, seed + count)]
    if count > len(names):
        raise InvalidParameter(f"{env} has {len(names)} tasks here, fewer than {count}.")
    return [Task(name, seed, {"instances": [name]}) for name in names[:count]]


def require_folder(folder: Path, setup: Setup) -> None:
    """Refuse a folder with runs of another setup, or with anything else.

    Raises:
        AskError: the message names what differs.
        CorruptFile: its file is damaged.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / SETUP).is_file():
        raise AskError(f"{folder} exists and holds no runs of agentgym solve: choose another --out.")
    try:
        known = Setup(**json.loads((folder / SETUP).read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise CorruptFile(f"{folder / SETUP} is damaged ({error}).") from error
    wanted = asdict(setup)
    if different := [name for name, value in asdict(known).items() if value != wanted[name]]:
        name = different[0]
        raise AskError(
            f"{folder} holds runs with {name}={getattr(known, name)!r}, not {wanted[name]!r}: choose another --out."
        )


def play_batch(
    folder: Path, setup: Setup, model: Model, controls: Mapping[str, Control], tasks: Sequence[Task],
    price: Price | None = None, say: Callable[[Row], None] = lambda row: None,
) -> list[Row]:  # fmt: skip
    """Play every task under every control. What ``rows.csv`` has is not played again, except runs that the model ended.

    Args:
        folder: of the results; :func:`require_folder` has checked it.
        setup: shared by all runs.
        model: answers.
        controls: by the name that they have in the rows.
        tasks: from :func:`tasks_of`.
        price: of the model's tokens; None: unknown.
        say: called with each new row.

    Returns:
        The rows of these controls and tasks, in this order.

    Raises:
        RunInUse: another process works in the folder.
        ModelError: the model has not answered at all in a run: whatever it was, the next task would meet it too.
    """
    with locked(folder, "agentgym solve"):
        write_file(folder / SETUP, json.dumps(asdict(setup), indent=1))
        rows = {(row.control, row.task): row.priced(price) for row in read_rows(folder)}
        for name, control in controls.items():
            for task in tasks:
                if (name, task.name) in rows and rows[name, task.name].exit != "model":
                    continue
                run = _played(folder, setup, model, name, control, task, price)
                rows[name, task.name] = Row.of(run, name, task).priced(price)
                _write_rows(folder, list(rows.values()))
                say(rows[name, task.name])
                if run.exit == "model" and not run.turns:
                    raise ModelError(f"{run.detail} The same command goes on from here.")
        _write_rows(folder, list(rows.values()))  # the price may be another one
        return [rows[name, task.name] for name in controls for task in tasks]


def _played(
    folder: Path, setup: Setup, model: Model, name: str, control: Control, task: Task, price: Price | None
) -> Trajectory:
    record = folder / "records" / _as_file(name) / f"{_as_file(task.name)}.jsonl"
    record.parent.mkdir(parents=True, exist_ok=True)
    with closing(gymnasium.make(setup.env, **{**setup.env_kwargs, **task.env_kwargs})) as env:
        return solve(
            env, task.seed, model, control, record=record, price=price, cost_limit=setup.cost_limit,
            time_limit=setup.time_limit,
        )  # fmt: skip


def _as_file(name: str) -> str:
    """A name as that of a file; other names give others."""
    plain = re.sub(r"[^A-Za-z0-9.,=+_-]", "_", name)[:80]
    return plain if plain == name and name.strip(".") else f"{plain}-{zlib.crc32(name.encode()):08x}"


def _write_rows(folder: Path, rows: Sequence[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [each.name for each in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_file(folder / ROWS, text.getvalue())


def read_rows(folder: Path) -> list[Row]:
    """The rows of a folder; none if it has none yet.

    Raises:
        CorruptFile: the file has other columns or values.
    """
    path = folder / ROWS
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_row(values) for values in csv.DictReader(file)]
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptFile(f"{path} is damaged ({error}).") from error


def _row(values: Mapping[str, str]) -> Row:
    def read(name: str, kind: str) -> Any:
        text = values[name]
        if "None" in kind and not text:
            return None
        if "bool" in kind:
            return {"True": True, "False": False}[text]
        return int(text) if "int" in kind else float(text) if "float" in kind else text

    return Row(**{each.name: read(each.name, str(each.type)) for each in fields(Row) if each.default is MISSING})


def turns_of(folder: Path) -> list[int]:
    """The turns of the unrestricted runs in a folder, failed ones included, for limits at their percentiles.

    Raises:
        InvalidParameter: there are none.
    """
    turns = [row.turns for row in read_rows(folder) if row.control == "unrestricted" and row.exit != "model"]
    if not turns:
        raise InvalidParameter(f"{folder} has no runs with --control unrestricted to take limits from.")
    return turns


def compared(rows: Sequence[Row]) -> dict[str, tuple[Paired, list[Row]]]:
    """Each control beside the first, on the tasks that have a verdict under both, with its rows on these tasks.

    A control that has no such task is left out.
    """
    by_control: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_control.setdefault(row.control, {})[row.task] = row
    first = next(iter(by_control.values()))
    found = {}
    for name, mine in by_control.items():
        pairs = [(row, first[task]) for task, row in mine.items() if None not in (row.solved, first[task].solved)]
        if pairs:
            own, other = (list(each) for each in zip(*pairs, strict=True))
            found[name] = (paired(_solved(own), _solved(other), _costs(own), _costs(other)), own)
    return found


def _solved(rows: Sequence[Row]) -> Any:
    return np.array([bool(row.solved) for row in rows])


def _costs(rows: Sequence[Row]) -> Any:
    known = [row.cost for row in rows if row.cost is not None]
    return np.array(known) if len(known) == len(rows) else None
