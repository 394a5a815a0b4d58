"""The command ``agentgym list [envs|agents|suites|...]``: the entries of the catalog."""

from typing import Annotated, Literal, get_args

import tyro
from rich.console import Console
from rich.table import Table

from agentgym import catalog

KINDS: dict[str, catalog.Kind] = {f"{kind}s": kind for kind in get_args(catalog.Kind)}


def show_list(
    what: Annotated[
        tuple[
            Literal[
                "envs", "agents", "solvers", "suites", "perturbations", "attacks", "methods", "estimators", "recipes"
            ],
            ...,
        ],
        tyro.conf.Positional,
    ] = (),
) -> None:
    """List everything available, including entries that installed packages add.

    Example: agentgym list envs

    Args:
        what: the kinds to list; all by default.
    """
    console = Console()
    for name in what or KINDS:
        entries = catalog.entries(KINDS[name])
        if not entries:
            continue
        table = Table(
            "name",
            "what it is",
            title=name,
            title_justify="left",
            title_style="bold",
            box=None,
            pad_edge=False,
        )
        for entry in entries:
            table.add_row(entry.id, entry.summary)
        console.print(table, end="\n\n")


def main(arguments: list[str]) -> None:
    """Entry point of the command."""
    tyro.cli(show_list, prog="agentgym list", args=arguments)
