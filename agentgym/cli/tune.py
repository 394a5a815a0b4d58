"""The command ``agentgym tune FILE``: a search for hyperparameters over the ranges of a study."""

from pathlib import Path
from typing import Annotated

import tyro

from agentgym.runs.files import require_writable

HELP = """Search for hyperparameters: Optuna draws settings from the ranges in the study's table [tune], gives bad ones
up early, and trains the best one again with fresh seeds, beside the agent as it stands. A killed search goes on with
the same command; several may run at once on one folder.

Example:
    agentgym tune studies/mdpo_small_budget.toml --workers 2

with, in the file:
    [tune]
    trials = 30
    seeds = "0-1"
    fresh_seeds = "100-104"
    [tune.ranges]
    learning_rate = { low = 1e-4, high = 1e-2, log = true }
    n_steps = { values = [256, 512, 2048] }

All settings are described in agentgym/study/README.md and agentgym/study/ranges.py.
"""


def tune(
    file: Annotated[Path, tyro.conf.Positional],
    workers: int = 1,
    ray: str | None = None,
    root: Path = Path("runs"),
) -> None:
    """Search for hyperparameters; write tune.html.

    Args:
        file: a study with a table [tune].
        workers: number of processes, each with one trial at a time; -1: one per processor.
        ray: address of a Ray cluster to use instead, whose nodes share the folder of the runs.
        root: folder of the runs.
    """
    from agentgym.evaluation.report import require
    from agentgym.study.file import study_in
    from agentgym.study.tuning import tune as search_for
    from agentgym.study.tuning_page import write_page

    require()
    with study_in(file) as study:
        page = root / f"{study.name}-tune" / "tune.html"
        require_writable(page)
        search, results = search_for(study, root, workers, ray)
        print(f"page: {write_page(study, search, results, page)}")


def main(arguments: list[str]) -> None:
    """Entry point of the command."""
    tyro.cli(tune, prog="agentgym tune", args=arguments, description=HELP)
