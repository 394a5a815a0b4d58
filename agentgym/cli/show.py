"""``agentgym show NAME``: prints a card."""

from typing import Annotated, get_args

import tyro
from rich.console import Console
from rich.markdown import Markdown

from agentgym import catalog
from agentgym.errors import UnknownId


def show(name: Annotated[str, tyro.conf.Positional]) -> None:
    """Print the card of an environment, agent, suite or recipe: what it is, its source, its deviations, its results.

    Example: agentgym show agentgym/RobustHopper-v0

    Args:
        name: a name from `agentgym list`.
    """
    entries = {entry.id: entry for kind in get_args(catalog.Kind) for entry in catalog.entries(kind)}
    if name not in entries:
        raise UnknownId("card", name, entries, "See: agentgym list")
    text = catalog.card(entries[name])
    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        print(text)


def main(arguments: list[str]) -> None:
    """Entry point of the verb."""
    tyro.cli(show, prog="agentgym show", args=arguments)
