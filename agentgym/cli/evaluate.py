"""The command ``agentgym evaluate RUN ... --suite SUITE ...``: robustness suites on trained agents."""

import sys
from pathlib import Path
from typing import Annotated, Any

import gymnasium
import tyro

from agentgym import catalog
from agentgym.contracts.settings import parse_values
from agentgym.errors import AskError
from agentgym.evaluation.rows import require_parquet
from agentgym.evaluation.table import Format
from agentgym.make import check_id
from agentgym.runs.files import require_writable, unused

HELP = """Evaluate trained agents under every condition of the suites and write rows.csv, summary.csv and report.html.

Examples:

agentgym evaluate runs/hopper --suite perturbations --episodes 10 --workers 2

agentgym evaluate runs/nominal runs/randomised --suite parameter-grid:points=7 perturbations:levels=2 attacks

agentgym evaluate runs/shared --suite convection --controllers zero merge-then-low

agentgym evaluate --endpoint http://localhost:8000/v1 --model NAME --env agentgym/Household-v0 --suite text
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
    rows: Format = "csv",
    endpoint: str | None = None,
    model: str | None = None,
) -> None:
    """Evaluate agents.

    Args:
        runs: folders of runs or of saved agents.
        suite: suites with optional settings, NAME or NAME:KEY=VALUE,KEY=VALUE (see: agentgym list suites).
        env: environment to evaluate in; by default the environment of the training.
        env_kwargs: keyword arguments of the environment, KEY=VALUE, instead of those of the training; without a value,
            no keyword arguments. By default those shared by all runs that were trained in this environment.
        episodes: episodes per condition; every condition and agent gets the same seeds.
        seed: root seed of the episodes.
        workers: number of processes on this machine.
        ray: address of a Ray cluster to use instead of local processes ("auto" finds a running cluster).
        stochastic: sample actions from the policy instead of taking its mode.
        controllers: hand-made controllers of the environment to evaluate along with the agents.
        max_steps: in an environment without a time limit, an episode that is longer than this fails.
        out: output folder; by default reports/<runs>, or reports/<runs>-2, ... if that exists.
        overwrite: replace an existing evaluation in the output folder.
        report: write report.html (needs the extra "report").
        rows: format of the rows; parquet is smaller and faster for millions of episodes (needs the extra "parquet").
        endpoint: address of a server with OpenAI's protocol, with /v1, that plays a text environment as a further agent
            (needs --model and --env; the key is read from OPENAI_API_KEY; needs the extra "language").
        model: name of the model on that server.
    """
    if not suite:
        raise AskError("--suite needs at least one suite. See: agentgym list suites")
    agents = (
        list(runs) if endpoint is None and model is None else _with_endpoint(runs, endpoint, model, env, env_kwargs)
    )
    from agentgym.evaluation.evaluate import evaluate as run_suites
    from agentgym.evaluation.summary import print_summary, write_summary

    if rows == "parquet":
        require_parquet()
    if report:
        from agentgym.evaluation.report import require

        require()  # report a missing extra before the evaluation starts
    folder = _output_folder([*map(_name, runs), *([_of_model(model)] if model else [])], controllers, out, overwrite)
    result = run_suites(
        agents,
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
    result.write(folder := _create_folder(folder, overwrite), rows)
    write_summary(result, folder / "summary.csv")
    (folder / "report.html").unlink(missing_ok=True)  # left over from a replaced evaluation
    print_summary(result)
    print(f"rows: {folder / f'rows.{rows}'}")
    if report:
        from agentgym.evaluation.report import write_report

        print(f"report: {write_report(result, folder / 'report.html')}")
    if not result.finished.any():
        print("agentgym: every episode failed", file=sys.stderr)
        sys.exit(1)


def _name(run: Path) -> str:
    return run.resolve().name


def _of_model(model: str) -> str:
    """The agent's name for a model's, which may have slashes."""
    return model.strip("/").replace("/", "-")


def _with_endpoint(
    runs: tuple[Path, ...], endpoint: str | None, model: str | None, env: str | None, env_kwargs: tuple[str, ...] | None
) -> dict[str, Any]:
    """The runs by name, and a model behind a server.

    Raises:
        AskError: something is missing, or two agents have one name.
    """
    if not endpoint or not model or not env:
        raise AskError(
            "--endpoint URL, --model NAME and --env ID belong together: which server, which model on it, and which "
            "text environment it plays."
        )
    check_id(env)
    made = gymnasium.make(env, **({} if env_kwargs is None else parse_values(env_kwargs)))
    agents: dict[str, Any] = {_name(run): run for run in runs}
    if len(agents) < len(runs) or _of_model(model) in agents:
        raise AskError("Two agents have the same name: evaluate them one by one, or rename a folder.")
    try:
        agent: Any = catalog.resolve("agentgym.agents.language.policies.endpoint:EndpointAgent")
        return {**agents, _of_model(model): agent(endpoint, made, model)}
    finally:
        made.close()


def _output_folder(names: list[str], controllers: tuple[str, ...], out: Path | None, overwrite: bool) -> Path:
    """Choose the folder of the results without creating it.

    Raises:
        AskError: the folder holds something that must not be replaced, or is not writable.
    """
    names = names or list(controllers)
    name = "-".join(names)
    if len(name.encode()) > LONGEST_NAME:
        name = f"{names[0]}-and-{len(names) - 1}-others"
    folder = out or Path("reports") / name
    if out is None and not overwrite:
        folder = unused(folder)
    elif folder.exists() or folder.is_symlink():
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / "evaluation.json").is_file()):
            raise AskError(f"{folder} exists and is not an evaluation. Choose another --out.")
        if any(folder.iterdir()) and not overwrite:
            raise AskError(f"{folder} holds an evaluation. Choose another --out, or replace it with --overwrite.")
    require_writable(folder / "rows.csv")
    return folder


def _create_folder(folder: Path, overwrite: bool) -> Path:
    """Create the folder, under another name if another evaluation has taken it in the meantime."""
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
    """Entry point of the command."""
    tyro.cli(evaluate, prog="agentgym evaluate", args=arguments, description=HELP)
