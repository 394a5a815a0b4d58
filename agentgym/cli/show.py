"""The command ``agentgym show NAME``: prints the card of an entry of the catalog."""

import dataclasses
from typing import Annotated, get_args

import tyro
from rich.console import Console
from rich.markdown import Markdown

from agentgym import catalog
from agentgym.errors import MissingExtra, UnknownId


def show(name: Annotated[str, tyro.conf.Positional]) -> None:
    """Show the card of an environment, agent, suite or recipe: description, source, deviations and results.

    `agentgym show language-methods` lists the methods for language agents with formulas and sources.

    Example: agentgym show agentgym/RobustHopper-v0

    Args:
        name: a name from `agentgym list`, or language-methods.
    """
    kinds = reversed(get_args(catalog.Kind))  # where several share a name, the agent's is shown
    entries = {entry.id: entry for kind in kinds for entry in catalog.entries(kind)}
    if name not in entries and name not in catalog.OVERVIEWS:
        raise UnknownId("card", name, [*entries, *catalog.OVERVIEWS], "See: agentgym list")
    text = catalog.card(entries[name]) if name in entries else catalog.resolve(catalog.OVERVIEWS[name])()
    if name in entries and entries[name].kind == "agent":
        text = f"{text}\n{_settings(entries[name])}"
    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        print(text)


def _settings(entry: catalog.Entry) -> str:
    """Hyperparameters and presets of an agent, from its ``Config``."""
    try:
        config = catalog.load(entry).Config
    except MissingExtra as missing:
        return f"## Hyperparameters of {entry.id}\n{missing}"
    rows = [f"| `{field.name}` | {field.default} |" for field in dataclasses.fields(config)]
    presets = [f"- `--preset {name}`: {preset}" for name, preset in config.presets.items()]
    title = f"## Hyperparameters of {entry.id}\nDescriptions: agentgym train {entry.id} --help\n"
    return "\n".join([title, "| name | default |", "|---|---|", *rows, "", *(presets or ["There are no presets."])])


def main(arguments: list[str]) -> None:
    """Entry point of the command."""
    tyro.cli(show, prog="agentgym show", args=arguments)
