"""``agentgym data make|list|show|check``: datasets for offline agents."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from agentgym.errors import UnknownId

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

USAGE = f"""Usage: agentgym data make|list|show|check ...

  make RECIPE ...   make datasets by their recipes, with settings as RECIPE:KEY=VALUE,KEY=VALUE
  list              what is on this machine
  show NAME         what is known of one
  check NAME ...    what is wrong with any Minari dataset

{HELP}
agentgym data make --help explains a verb."""


def make(
    recipes: Annotated[tuple[str, ...], tyro.conf.Positional],
    runs: Path = Path("runs"),
    overwrite: bool = False,
) -> None:
    """Make.

    Args:
        recipes: names from `agentgym list recipes`, with their settings.
        runs: folder that holds the runs; those of behaviours go to its folder behaviours, and are used again.
        overwrite: make what is there already anew.
    """
    from agentgym.data.making import make_dataset
    from agentgym.data.recipe import find_recipe

    for recipe in recipes:
        find_recipe(recipe)  # refuse the last one's faults before the first one's work
    for recipe in recipes:
        dataset, made = make_dataset(recipe, runs, overwrite)
        print(
            f"{dataset.description.name}: {'made' if made else 'was there already'}, {len(dataset):,} steps in "
            f"{dataset.episodes:,} episodes. Next: agentgym train bc --dataset {recipe}"
        )


VERBS = {"make": make}


def main(arguments: list[str]) -> None:
    """Entry point of the verb."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        sys.exit(0 if arguments else 2)
    if arguments[0] not in VERBS:
        raise UnknownId("verb of agentgym data", arguments[0], VERBS, "See: agentgym data --help")
    tyro.cli(VERBS[arguments[0]], prog=f"agentgym data {arguments[0]}", args=arguments[1:], description=HELP)
