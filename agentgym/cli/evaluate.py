"""``agentgym evaluate RUN ... --suite SUITE ...``: robustness suites on trained agents."""

from pathlib import Path
from typing import Annotated

import tyro

from agentgym.settings import parse_values

HELP = """Evaluate trained agents under every condition of the suites; write rows.csv, summary.csv and report.html.

Examples:

agentgym evaluate runs/hopper --suite perturbations --episodes 10 --workers 2

agentgym evaluate runs/nominal runs/randomised --suite parameter-grid:points=7 perturbations:levels=2 attacks

agentgym evaluate runs/shared --suite convection --controllers zero merge-then-low
"""


def evaluate(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = (),
    suite: tuple[str, ...] = ("perturbations",),
    env: str | None = None,
    env_kwargs: tuple[str, ...] = (),
    episodes: int = 10,
    seed: int = 0,
    workers: int = 1,
    ray: str | None = None,
    stochastic: bool = False,
    controllers: tuple[str, ...] = (),
    out: Path | None = None,
    report: bool = True,
) -> None:
    """Evaluate.

    Args:
        runs: folders of runs, or of saved agents.
        suite: suites with their settings, NAME or NAME:KEY=VALUE,KEY=VALUE (see: agentgym list suites).
        env: the environment to vary; by default the one the runs were trained in, in its nominal form.
        env_kwargs: its keyword arguments, KEY=VALUE.
        episodes: episodes a condition; the same seeds for every condition and agent.
        seed: root of the episodes' seeds.
        workers: processes on this machine.
        ray: address of a Ray cluster to use instead ("auto" finds a running one).
        stochastic: sample the policy instead of taking its mode.
        controllers: hand-made controllers that the environment brings along, to stand beside the agents.
        out: folder of the results; by default reports/<runs>.
        report: write report.html (needs the extra "report").
    """
    from agentgym.evaluation.evaluate import evaluate as run_suites
    from agentgym.evaluation.summary import print_summary, write_summary

    if report:
        from agentgym.evaluation.report import require

        require()  # a missing extra is said before the work, not after it
    result = run_suites(
        list(runs),
        list(suite),
        env,
        parse_values(env_kwargs),
        episodes,
        seed,
        workers,
        ray,
        deterministic=not stochastic,
        controllers=controllers,
    )
    folder = result.write(out or Path("reports") / "-".join(run.name for run in runs or map(Path, controllers)))
    write_summary(result, folder / "summary.csv")
    print_summary(result)
    print(f"rows: {folder / 'rows.csv'}")
    if report:
        from agentgym.evaluation.report import write_report

        print(f"report: {write_report(result, folder / 'report.html')}")


def main(arguments: list[str]) -> None:
    """Entry point of the verb."""
    tyro.cli(evaluate, prog="agentgym evaluate", args=arguments, description=HELP)
