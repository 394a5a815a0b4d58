"""The command ``agentgym data make|list|show|check|calibrate``: datasets, and calibrated intensities."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from agentgym.errors import AskError, UnknownId

HELP = """Datasets for offline agents, in Minari's format (MINARI_DATASETS_PATH, by default ~/.minari/datasets).

Examples:

agentgym list recipes

agentgym data make hopper-medium

agentgym data make hopper-medium:noise=0.5,size=200000 --runs runs

agentgym data list

agentgym data show hopper-medium

agentgym data check hopper-medium D4RL/door/human-v2

agentgym train percent-bc --dataset hopper-medium:noise=0.5,size=200000
"""

USAGE = f"""Usage: agentgym data make|list|show|check|calibrate ...

  make RECIPE ...   make datasets from recipes; settings as RECIPE:KEY=VALUE,KEY=VALUE
  list              list the datasets on this machine
  show NAME         show the metadata and statistics of a dataset
  check NAME ...    check Minari datasets for errors
  calibrate RUN     find how strong types of stochasticity must be to cost a policy a share of its return

{HELP}
Run agentgym data VERB --help for the options of a verb."""


def make(
    recipes: Annotated[tuple[str, ...], tyro.conf.Positional],
    runs: Path = Path("runs"),
    overwrite: bool = False,
) -> None:
    """Make datasets.

    Args:
        recipes: names from `agentgym list recipes`, with optional settings.
        runs: folder of the runs; behaviour policies are trained in its subfolder behaviours and reused.
        overwrite: remake datasets that already exist.
    """
    from agentgym.data.recipe import find_recipe
    from agentgym.recipes.make import make_dataset

    if not recipes:
        raise AskError("Which recipe? agentgym data make RECIPE ... See: agentgym list recipes")
    for recipe in recipes:
        find_recipe(recipe)  # report errors in any recipe before making the first
    for recipe in recipes:
        dataset, made = make_dataset(recipe, runs, overwrite)
        print(
            f"{dataset.description.name}: {'made' if made else 'already exists'}, {len(dataset):,} steps in "
            f"{dataset.episodes:,} episodes. Next: agentgym train bc --dataset {recipe}"
        )


def list_datasets() -> None:
    """List the datasets on this machine.

    Example: agentgym data list

    Datasets from other sources are converted to arrays on first use.
    """
    from agentgym.data.dataset import OfflineDataset
    from agentgym.data.storage import load_dataset, local_names

    table = Table("name", "steps", "episodes", "return", "random", "expert", box=None, pad_edge=False)
    table.columns[0].overflow = "fold"  # keep names whole for copying
    for name in local_names():
        try:
            dataset: OfflineDataset = load_dataset(name)
        except AskError as error:
            table.add_row(name, str(error))
            continue
        about, returns = dataset.description, f"{dataset.returns.mean():.4g} ± {dataset.returns.std():.3g}"
        references = ("" if each is None else f"{each:.4g}" for each in (about.random_return, about.expert_return))
        recipe = about.record.get("recipe", name)
        table.add_row(recipe, f"{len(dataset):,}", f"{dataset.episodes:,}", returns, *references)
    console = Console()
    console.print(table if table.row_count else "There are no datasets yet. Make one: agentgym data make frozenlake")


def show(name: Annotated[str, tyro.conf.Positional]) -> None:
    """Show the metadata and statistics of a dataset.

    Example: agentgym data show frozenlake

    Args:
        name: a recipe with optional settings, or a Minari id.
    """
    from agentgym.data.storage import load_dataset

    dataset = load_dataset(name)
    about, returns = dataset.description, dataset.returns
    known: dict[str, Any] = {
        "name": about.name, "environment": about.env, "env_kwargs": dict(about.env_kwargs),
        "perturbations": list(about.perturbations), "observations": str(dataset.observation_space),
        "actions": str(dataset.action_space), "steps": len(dataset), "episodes": dataset.episodes,
        "steps of an episode": _spread(dataset.lengths), "return of an episode": _spread(returns),
        "random_return": about.random_return, "expert_return": about.expert_return,
        "score of the mean return": about.score(float(returns.mean())), "sha256": dataset.digest, **about.record,
    }  # fmt: skip
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, value in _flat(known):
        table.add_row(key, value)
    Console().print(table)


def _spread(values: Any) -> str:
    return f"mean {values.mean():.4g}, std {values.std():.4g}, from {values.min():.4g} to {values.max():.4g}"


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value if isinstance(value, str) else json.dumps(value)


def check(names: Annotated[tuple[str, ...], tyro.conf.Positional]) -> None:
    """Check datasets from any source. The exit code is 1 if there are errors; warnings do not count.

    Example: agentgym data check hopper-medium D4RL/door/human-v2

    Args:
        names: recipes with optional settings, or Minari ids.
    """
    from agentgym.data.checks import check_dataset

    if not names:
        raise AskError("Which dataset? agentgym data check NAME ... See: agentgym data list")
    results = {name: check_dataset(name) for name in names}
    console = Console()
    for name, findings in results.items():
        table = Table("", "check", "what is wrong", "episodes", title=name, title_justify="left", box=None,
                      pad_edge=False)  # fmt: skip
        for finding in findings:
            table.add_row(finding.level, finding.check, finding.message, finding.where)
        console.print(table if findings else f"{name}: no problems found")
    if any(finding.level == "error" for findings in results.values() for finding in findings):
        sys.exit(1)


def calibrate(
    run: Annotated[Path, tyro.conf.Positional],
    out: Path,
    env: str | None = None,
    env_kwargs: tuple[str, ...] | None = None,
    types: tuple[str, ...] = (),
    loss: float = 0.25,
    episodes: int = 50,
    rounds: int = 8,
    seed: int = 0,
    workers: int = 1,
    stochastic: bool = False,
    max_frames: int = 18_000,
) -> None:
    """Find for each type of stochasticity the intensity at which a policy loses a share of its return.

    Example: agentgym data calibrate runs/boxing --loss 0.25 --out boxing.json, and then
    agentgym evaluate runs/boxing --suite stori:calibrated=boxing.json

    Args:
        run: folder of the run, or of a saved agent: the reference policy.
        out: the file to write; the suite stori reads it.
        env: environment; by default that of the training.
        env_kwargs: keyword arguments of the environment, KEY=VALUE, instead of those of the training.
        types: types of the suite stori; by default all of the environment.
        loss: the share of what the policy gains over random actions.
        episodes: episodes per intensity, with the same seeds.
        rounds: halvings of the interval of intensities.
        seed: root seed of the episodes.
        workers: number of processes.
        stochastic: sample actions from the policy instead of taking its mode.
        max_frames: time limit of Atari games, in emulated frames.
    """
    from agentgym.contracts.settings import parse_values
    from agentgym.evaluation.calibrating import calibrate as find
    from agentgym.runs.files import require_writable

    require_writable(out)
    given = None if env_kwargs is None else parse_values(env_kwargs)
    found = find(run, env, given, types, loss, episodes, rounds, seed, workers, not stochastic, max_frames)
    found.write(out)
    table = Table("type", "intensity", "95 % interval", "loss", box=None, pad_edge=False)
    for name, each in found.types.items():
        span = f"{each.low:.3g} to {each.high:.3g}" if each.reached else "not reached at the largest intensity"
        table.add_row(name, f"{each.intensity:.3g}", span, f"{each.loss:.2f}")
    Console().print(table)
    print(f"{out}: written. Next: agentgym evaluate {run} --suite stori:calibrated={out}")


VERBS: dict[str, Callable[..., None]] = {
    "make": make, "list": list_datasets, "show": show, "check": check, "calibrate": calibrate,
}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Entry point of the command."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        sys.exit(0 if arguments else 2)
    if arguments[0] not in VERBS:
        raise UnknownId("verb of agentgym data", arguments[0], VERBS, "See: agentgym data --help")
    verb = VERBS[arguments[0]]
    tyro.cli(verb, prog=f"agentgym data {arguments[0]}", args=arguments[1:], description=HELP)
