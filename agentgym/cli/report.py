"""The command ``agentgym report FOLDER``: the report of a finished evaluation."""

from pathlib import Path
from typing import Annotated

import tyro

from agentgym.errors import AskError
from agentgym.runs.files import require_writable


def report(folder: Annotated[Path, tyro.conf.Positional], out: Path | None = None, overwrite: bool = False) -> None:
    """Rebuild report.html from the rows of an evaluation.

    Example: agentgym report reports/hopper

    Args:
        folder: output folder of `agentgym evaluate`.
        out: output file; by default report.html in the folder. An existing report is replaced.
        overwrite: replace an existing file that is not a report.
    """
    from agentgym.evaluation.report import is_report, require, write_report
    from agentgym.evaluation.table import Evaluation

    require()
    evaluation, page = Evaluation.read(folder), out or folder / "report.html"
    if page.is_dir():
        raise AskError(f"{page} is a folder. Name a file in it: --out {page / 'report.html'}")
    if page.exists() and not overwrite and not is_report(page):
        raise AskError(f"{page} exists and is not a report. Choose another --out, or replace it with --overwrite.")
    require_writable(page)
    print(write_report(evaluation, page))


def main(arguments: list[str]) -> None:
    """Entry point of the command."""
    tyro.cli(report, prog="agentgym report", args=arguments)
