"""``agentgym evaluate RUN ... --suite SUITE ...``: robustness suites on trained agents."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from agentgym.contracts.settings import parse_values
from agentgym.errors import AskError
from agentgym.runs.files import require_writable, unused

HELP = """Evaluate trained agents under every condition of the suites; write rows.csv, summary.csv and report.html.

Examples:

agentgym evaluate runs/hopper --suite perturbations --episodes 10 --workers 2

agentgym evaluate runs/nominal runs/randomised --suite parameter-grid:points=7 perturbations:levels=2 attacks

agentgym evaluate runs/shared --suite convection --controllers zero merge-then-low
"""


LONGEST_NAME = 200  # bytes, of a folder


def evaluate(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = (),
    suite: tuple[str, ...] = ("perturbations",),
    env: str | None = None,
    env_kwargs: tuple[str, ...] | None = None,
    episodes: int = 10,
    seed: int = 0,
    workers: int = 1,
    ray: str | None = None,
    stochastic: bool = False,
    controllers: tuple[str, ...] = (),
    max_steps: int = 30_000,
    out: Path | None = None,
    overwrite: bool = False,
    report: bool = True,
) -> None:
    """Evaluate.

    Args:
        runs: folders of runs, or of saved agents.
        suite: suites with their settings, NAME or NAME:KEY=VALUE,KEY=VALUE (see: agentgym list suites).
        env: the environment to vary; by default the one the runs were trained in.
        env_kwargs: its keyword arguments, KEY=VALUE, in place of those of the training; with nothing after it, none. By
            default those that all runs trained in this environment have in common.
        episodes: episodes a condition; the same seeds for every condition and agent.
        seed: root of the episodes' seeds.
        workers: processes on this machine.
        ray: address of a Ray cluster to use instead ("auto" finds a running one).
        stochastic: sample the policy instead of taking its mode.
        controllers: hand-made controllers that the environment brings along, to stand beside the agents.
        max_steps: an episode that is not over after so many steps has failed, where the environment declares no time
            limit.
        out: folder of the results; by default reports/<runs>, or reports/<runs>-2, ... where that is taken.
        overwrite: replace an evaluation in that folder.
        report: write report.html (needs the extra "report").
    """
    if not suite:
        raise AskError("--suite names none. See: agentgym list suites")
    from agentgym.evaluation.evaluate import evaluate as run_suites
    from agentgym.evaluation.summary import print_summary, write_summary

    if report:
        from agentgym.evaluation.report import require

        require()  # a missing extra is said before the work, not after it
    folder = _folder(runs, controllers, out, overwrite)
    result = run_suites(
        list(runs),
        list(suite),
        env,
        None if env_kwargs is None else parse_values(env_kwargs),
        episodes,
        seed,
        workers,
        ray,
        deterministic=not stochastic,
        controllers=controllers,
        max_steps=max_steps,
    )
    result.write(folder := _claimed(folder, overwrite))
    write_summary(result, folder / "summary.csv")
    (folder / "report.html").unlink(missing_ok=True)  # of the evaluation that is replaced
    print_summary(result)
    print(f"rows: {folder / 'rows.csv'}")
    if report:
        from agentgym.evaluation.report import write_report

        print(f"report: {write_report(result, folder / 'report.html')}")
    if not any(row.finished for row in result.rows):
        print("agentgym: every episode failed", file=sys.stderr)
        sys.exit(1)


def _folder(runs: tuple[Path, ...], controllers: tuple[str, ...], out: Path | None, overwrite: bool) -> Path:
    """Where the results go; nothing is made yet.

    Raises:
        AskError: something is there that is not to be replaced, or nothing can be written there.
    """
    names = [run.resolve().name for run in runs] or list(controllers)
    name = "-".join(names)
    if len(name.encode()) > LONGEST_NAME:
        name = f"{names[0]}-and-{len(names) - 1}-others"
    folder = out or Path("reports") / name
    if out is None and not overwrite:
        folder = unused(folder)
    elif folder.exists() or folder.is_symlink():
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / "evaluation.json").is_file()):
            raise AskError(f"{folder} is there and is no evaluation, so it is left as it is. Choose another --out.")
        if any(folder.iterdir()) and not overwrite:
            raise AskError(f"{folder} holds an evaluation. Choose another --out, or replace it with --overwrite.")
    require_writable(folder / "rows.csv")
    return folder


def _claimed(folder: Path, overwrite: bool) -> Path:
    """The folder, made; a neighbour of it where another evaluation has come first since it was looked for."""
    if overwrite or (folder.is_dir() and not any(folder.iterdir())):
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            (folder := unused(folder)).mkdir()
            return folder
        except FileExistsError:
            continue


def main(arguments: list[str]) -> None:
    """Entry point of the verb."""
    tyro.cli(evaluate, prog="agentgym evaluate", args=arguments, description=HELP)
