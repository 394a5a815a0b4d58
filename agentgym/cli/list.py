"""``agentgym list [envs|agents|suites|...]``."""

from typing import Annotated, Literal, get_args

import tyro
from rich.console import Console
from rich.table import Table

from agentgym import catalog

KINDS: dict[str, catalog.Kind] = {f"{kind}s": kind for kind in get_args(catalog.Kind)}


def show_list(
    what: Annotated[
        tuple[Literal["envs", "agents", "suites", "perturbations", "attacks", "methods", "recipes"], ...],
        tyro.conf.Positional,
    ] = (),
) -> None:
    """List what there is, ours and what installed packages add.

    Example: agentgym list envs

    Args:
        what: which lists; all of them by default.
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
    """Entry point of the verb."""
    tyro.cli(show_list, prog="agentgym list", args=arguments)
