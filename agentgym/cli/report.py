"""``agentgym report FOLDER``: the report of a finished evaluation."""

from pathlib import Path
from typing import Annotated

import tyro


def report(folder: Annotated[Path, tyro.conf.Positional], out: Path | None = None) -> None:
    """Make report.html again from an evaluation's rows.

    Example: agentgym report reports/hopper

    Args:
        folder: what `agentgym evaluate` wrote.
        out: the page; by default report.html in the folder.
    """
    from agentgym.evaluation.report import write_report
    from agentgym.evaluation.table import Evaluation

    print(write_report(Evaluation.read(folder), out or folder / "report.html"))


def main(arguments: list[str]) -> None:
    """Entry point of the verb."""
    tyro.cli(report, prog="agentgym report", args=arguments)
