"""Running a study: what is missing is made, breadth first, and its rows are written as soon as a run ends.

A killed study goes on: finished runs have their rows, and a run that was cut goes on from its checkpoint, bit for bit.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentgym.parallel import Outcome, map_tasks, require_workers
from agentgym.runs.files import FULL_DISK
from agentgym.runs.locks import locked
from agentgym.runs.run import command_line
from agentgym.study.cells import Cell, cells_of, chosen, with_starts
from agentgym.study.checks import check_cells, check_study
from agentgym.study.judging import Made, make_cell
from agentgym.study.progress import Progress
from agentgym.study.rows import Rows, stamp
from agentgym.study.schema import Study

__all__ = ["Results", "open_results", "run_study"]


@dataclass
class Results:
    """A study with what there is of it.

    Attributes:
        study: the study.
        runs: the folder of its runs.
        cells: all its cells, breadth first.
        rows: the rows of finished and failed runs.
        curves: the points of the learning curves.
    """

    study: Study
    runs: Path
    cells: list[Cell]
    rows: Rows
    curves: Rows


def open_results(study: Study, root: Path | str = "runs", seeds: Sequence[int] | None = None) -> Results:
    """The cells of a study and the rows there are; nothing is written.

    Raises:
        InvalidParameter: a cell appears twice or has no steps.
        CorruptFile: the file of rows is damaged.
    """
    runs = Path(root) / study.name
    path = Path(os.path.normpath(study.folder / study.rows)) if study.rows else runs / "rows.csv"
    curves = path.with_name(path.name.replace("rows", "curves") if "rows" in path.name else f"curves_{path.name}")
    about = ("step", "updates", "seconds")
    return Results(study, runs, cells_of(study, runs, seeds), Rows(path), Rows(curves, about, ()))


def run_study(
    study: Study, root: Path | str = "runs", seeds: Sequence[int] | None = None, only: Sequence[str] = (),
    workers: int = 1, ray: str | None = None, progress: bool = True,
) -> Results:  # fmt: skip
    """Make what is missing of a study. Failed runs are tried again.

    Args:
        study: the study.
        root: folder of the runs; those of the study go into its folder NAME.
        seeds: other seeds than the study's.
        only: keys of questions, agents, groups and environments to restrict the study to.
        workers: processes on this machine, each with one run at a time; -1: one per processor.
        ray: address of a Ray cluster to use instead.
        progress: show a table of what is done and how long the rest takes.

    Raises:
        AskError: something in the study is wrong, rows or runs of other settings are in the way, or another process
            runs the study. Nothing has been written then.
        OSError: the disk is full. The rows and checkpoints there are stay, and the same command goes on.
        Stopped: a signal stopped the study; it goes on with the same command.
    """
    results = open_results(study, root, seeds)
    cells = chosen(study, results.cells, only)
    check_cells(cells)
    results.rows.require_same_plan(cells)
    waiting = [cell for cell in cells if not results.rows.finished(cell)]
    check_study(study, waiting)
    results.rows.require_writable()
    results.curves.require_writable()
    require_workers(workers, ray)
    with _full_disk_named(results.runs), ExitStack() as held:
        held.enter_context(locked(results.runs, command_line()))
        results.rows.read()  # again now that no other process writes
        results.curves.read()
        _make_datasets(waiting, Path(root))
        shown = held.enter_context(Progress(results, cells, waiting, workers, progress))
        for wave in with_starts(waiting):
            # A start whose rows were made elsewhere is made again for the runs that need it; its rows stay.
            todo = [cell for cell in wave if not (results.rows.finished(cell) and cell.saved.is_dir())]
            for outcome in map_tasks(_made, todo, workers, ray):
                if not results.rows.finished(todo[outcome.index]):
                    _keep(results, todo[outcome.index], outcome)
                shown.finished(todo[outcome.index], outcome)
    return results


def _made(cell: Cell) -> Made | OSError:
    """Make a cell; a full disk is returned, because it is no fault of this run and ends the study."""
    try:
        return make_cell(cell)
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        return OSError(error.errno, error.strerror)


@contextmanager
def _full_disk_named(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise OSError(
            error.errno,
            f"The disk is full, and the study in {folder} has stopped. Its rows and checkpoints are kept: free disk "
            "space and give the same command again",
        ) from error


def _keep(results: Results, cell: Cell, outcome: Outcome[Made | OSError]) -> None:
    """Write the rows of a run that has ended.

    Raises:
        OSError: the disk is full, for the run or for its rows.
    """
    if isinstance(outcome.value, OSError):
        raise outcome.value
    if outcome.value is None:
        rows = [{"case": "", "error": outcome.error, "note": outcome.note, **stamp(), "plan": cell.plan()}]
        results.rows.replace(cell, rows, results.cells)
        return
    made = outcome.value
    for row in made.rows:
        row["note"] = "; ".join(each for each in (row.get("note", ""), outcome.note) if each)
    results.curves.replace(cell, made.curves, results.cells)
    results.rows.replace(cell, made.rows, results.cells)


def _make_datasets(cells: Sequence[Cell], root: Path) -> None:
    """Make the datasets that are missing; behaviours that are trained for them are kept in ``root``."""
    from agentgym.data.recipe import is_recipe
    from agentgym.data.storage import load_dataset

    for name in dict.fromkeys(cell.world.dataset for cell in cells if cell.world.dataset):
        if is_recipe(name):
            from agentgym.recipes.make import make_dataset

            make_dataset(name, root)
        else:
            load_dataset(name)
