"""Pages of the command line, read from the parsers of the verbs themselves."""

import argparse
import importlib
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import tyro
from places import write

from agentgym.cli.main import VERBS

__all__ = ["Command", "Option", "command", "definitions", "write_pages"]


@dataclass(frozen=True)
class Option:
    """An option as the parser has it: ``--steps INT``, its default as text (None if required), its help."""

    flags: str
    values: str
    default: str | None
    help: str


@dataclass(frozen=True)
class Command:
    """A command (``agentgym play``), what its help says first, its options, and its parser."""

    name: str
    text: str
    options: tuple[Option, ...]
    parser: argparse.ArgumentParser


class _Reached(Exception):
    def __init__(self, function: Any, prog: str, description: str | None) -> None:
        self.function, self.prog, self.description = function, prog, description


def command(verb: str, arguments: Sequence[str] = ()) -> Command:
    """The command that ``agentgym VERB ARGUMENTS`` would parse its options by."""

    def stop(function: Any, *, prog: str, args: Any, description: str | None = None) -> None:
        raise _Reached(function, prog, description)

    with mock.patch.object(tyro, "cli", stop):
        try:
            importlib.import_module(f"agentgym.cli.{verb}").main(list(arguments))
        except _Reached as reached:
            found = reached
        else:
            raise AssertionError(f"agentgym {verb} parses nothing")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = tyro.extras.get_parser(found.function, prog=found.prog)
    text = found.description or (found.function.__doc__ or "").partition("Args:")[0]
    return Command(found.prog, text, tuple(map(_option, parser._actions[1:])), parser)  # not --help


def _option(action: Any) -> Option:
    text = " ".join(str(action.help or "").split())
    default = re.search(r"\s*\((?:default: ?(?P<default>.*)|required)\)$", text)
    flags = ", ".join(f"`{flag}`" for flag in action.option_strings) or f"`{action.dest.upper()}`"
    values = str(action.metavar or "") if action.option_strings else ""
    meaning = text[: default.start()] if default else text
    return Option(flags, values, default["default"] if default else None, meaning)


def definitions(options: Sequence[Option]) -> Iterator[str]:
    """Markdown of the options, as a list of definitions: it fits a phone."""
    for option in options:
        values = f" `{option.values}`" if option.values else ""
        default = "" if option.default in (None, "", "None") else f" Default: `{option.default}`."
        yield f"{option.flags}{values}\n: {_sentence(option.help)}{default}\n"


def _sentence(text: str) -> str:
    text = _escaped(text).strip()
    return text if not text or text.endswith((".", ":")) else f"{text}."


def _escaped(text: str) -> str:
    """Plain help text as Markdown: code stays, other marks are escaped."""
    return re.sub(r"(`[^`]*`)|([*_<>\[\]|$])", lambda found: found[1] or f"\\{found[2]}", text)


def _prose(text: str) -> Iterator[str]:
    """Help text as Markdown: lines that are commands become code."""
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.splitlines()]
        example = re.match(r"(Examples?: )?((?:agentgym|tensorboard) .*)", lines[0])
        if example:
            yield "```bash\n" + "\n".join([example[2], *lines[1:]]) + "\n```\n"
        else:
            yield _escaped("\n".join(lines)) + "\n"


def _page(verb: str, parts: Sequence[Command]) -> str:
    lines = [f"# agentgym {verb}", "", f"{VERBS[verb][0].upper()}{VERBS[verb][1:]}.", ""]
    for part in parts:
        if len(parts) > 1:
            lines += [f"## {part.name}", ""]
        if part is parts[0] or part.text != parts[0].text:
            lines += _prose(part.text)
        lines += definitions(part.options)
    return "\n".join(lines)


def write_pages() -> set[str]:
    """Write commands/VERB.md of every verb; return the documents."""
    made = set()
    for verb in VERBS:
        module = importlib.import_module(f"agentgym.cli.{verb}")
        if verb == "train":
            whole = command(verb, ["sac"])
            text = whole.text.partition("Presets (")[0]
            common = tuple(option for option in whole.options if "--config." not in option.flags)
            parts = [Command("agentgym train AGENT", text, common, whole.parser)]
        else:
            parts = [command(verb, [name]) for name in getattr(module, "VERBS", ())] or [command(verb)]
        page = _page(verb, parts)
        if verb == "train":
            page += "\nHyperparameters, `--config.NAME`, are on the [page of each agent](/agents/index.md).\n"
        write(f"commands/{verb}.md", page)
        made.add(f"commands/{verb}")
    index = ["# Command line", "", "| command | |", "|---|---|"]
    index += [f"| [`agentgym {verb}`](/commands/{verb}.md) | {summary} |" for verb, summary in VERBS.items()]
    index += [
        "", "Exit codes: 0 success, 1 failure, 2 a request that cannot be met, 128 + n stopped by signal n.", "",
        "```{toctree}", ":hidden:", "", *VERBS, "```", "",
    ]  # fmt: skip
    write("commands/index.md", "\n".join(index))
    return made | {"commands/index"}
