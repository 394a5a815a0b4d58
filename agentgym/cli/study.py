"""The command ``agentgym study run|status|table|report FILE``: many runs for one question, with evidence."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from agentgym.errors import AskError, Stopped, UnknownId

HELP = """A study is a file: agents, environments, seeds and a protocol. Runs are made where they are missing, and a
killed study goes on with the same command.

Examples:
    agentgym study run studies/pendulum.toml --workers 2
    agentgym study run studies/mujoco_v5.toml --only sac Hopper-v5 --seeds 0-2
    agentgym study status studies/mujoco_v5.toml
    agentgym study table studies/mujoco_v5.toml --docs docs/results
    agentgym study report studies/mujoco_v5.toml
"""

USAGE = f"""Usage: agentgym study run|status|table|report FILE ...

  run FILE      make what is missing of the study
  status FILE   what is done, what runs, what failed
  table FILE    print the tables, or write them with pictures into a folder (--docs)
  report FILE   write one page with curves, scores, intervals and comparisons

{HELP}
Run agentgym study VERB --help for the options of a verb."""

File = Annotated[Path, tyro.conf.Positional]


def run(
    file: File,
    workers: int = 1,
    ray: str | None = None,
    seeds: str | None = None,
    only: tuple[str, ...] = (),
    root: Path = Path("runs"),
) -> None:
    """Make what is missing of a study. Runs that failed are tried again.

    Args:
        file: the study.
        workers: number of processes, each with one run at a time; -1: one per processor.
        ray: address of a Ray cluster to use instead of local processes.
        seeds: other seeds than the study's, such as 0-4 or 0-2,10.
        only: questions, agents, groups and environments to restrict the study to.
        root: folder of the runs.
    """
    from agentgym.study.file import study_in
    from agentgym.study.runner import run_study

    try:
        with study_in(file) as study:
            results = run_study(study, root, _seeds(seeds), only, workers, ray)
    except Stopped as stop:
        print(f"agentgym: stopped. Go on with the same command: agentgym study run {file}", file=sys.stderr)
        sys.exit(128 + stop.signal_number)
    failed = {(row["agent"], row["env"], row["seed"]): row["error"] for row in results.rows.rows if row["error"]}
    print(f"rows: {results.rows.path}. Next: agentgym study report {file}")
    for (agent, env, seed), error in failed.items():
        print(f"agentgym: {agent} on {env}, seed {seed} failed: {error}", file=sys.stderr)
    if failed:
        sys.exit(1)


def status(file: File, seeds: str | None = None, root: Path = Path("runs")) -> None:
    """What is done of a study, what runs now, and what failed.

    Args:
        file: the study.
        seeds: other seeds than the study's.
        root: folder of the runs.
    """
    from agentgym.study.file import study_in
    from agentgym.study.progress import status_table
    from agentgym.study.runner import open_results

    with study_in(file) as study:
        results = open_results(study, root, _seeds(seeds))
    Console().print(status_table(results, results.cells))


def table(file: File, docs: Path | None = None, parquet: Path | None = None, root: Path = Path("runs")) -> None:
    """Print the tables of a study as Markdown, or write them with pictures.

    Args:
        file: the study.
        docs: folder to write NAME.md, the learning curves NAME.png and the study's own pictures into.
        parquet: also write the rows as a Parquet file (extra: parquet).
        root: folder of the runs.
    """
    from agentgym.runs.files import require_writable
    from agentgym.study.docs import write_docs
    from agentgym.study.file import study_in
    from agentgym.study.rows import write_parquet
    from agentgym.study.runner import open_results
    from agentgym.study.scores import Scores
    from agentgym.study.tables import origins, tables

    with study_in(file) as study:
        results = open_results(study, root)
        for path in (docs and docs / f"{study.name}.md", parquet):
            if path:
                require_writable(path)
        if parquet:
            print(write_parquet(results.rows.rows, parquet))
        if docs:
            print(write_docs(results, docs))
        else:
            print(tables(study, Scores(results)))
            print("\n".join(origins(results)))


def report(file: File, out: Path | None = None, overwrite: bool = False, root: Path = Path("runs")) -> None:
    """Write one page with curves, scores, intervals and comparisons (extra: report).

    Args:
        file: the study.
        out: output file; by default report.html in the folder of the study's runs. An existing report is replaced.
        overwrite: replace an existing file that is not a report.
        root: folder of the runs.
    """
    from agentgym.evaluation.report import is_report, require
    from agentgym.runs.files import require_writable
    from agentgym.study.file import study_in
    from agentgym.study.page import write_page
    from agentgym.study.runner import open_results

    require()
    with study_in(file) as study:
        results = open_results(study, root)
        page = out or results.runs / "report.html"
        require_writable(page)
        if page.exists() and not overwrite and not is_report(page):
            raise AskError(f"{page} exists and is not a report. Choose another --out, or replace it with --overwrite.")
        print(write_page(results, page))


def _seeds(text: str | None) -> tuple[int, ...] | None:
    from agentgym.study.reading import seeds_of

    return None if text is None else seeds_of(text)


VERBS: dict[str, Callable[..., None]] = {"run": run, "status": status, "table": table, "report": report}


def main(arguments: list[str]) -> None:
    """Entry point of the command."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        sys.exit(0 if arguments else 2)
    if arguments[0] not in VERBS:
        raise UnknownId("verb of agentgym study", arguments[0], VERBS, "See: agentgym study --help")
    tyro.cli(VERBS[arguments[0]], prog=f"agentgym study {arguments[0]}", args=arguments[1:], description=HELP)
