"""Where things are: cards and modules in the repository, and the site's page of each."""

import importlib
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from agentgym import catalog

__all__ = ["DOCS", "ROOT", "all_modules", "api_label", "card_pages", "cards", "pages", "public_modules", "write"]

DOCS = Path(os.path.realpath(__file__)).parents[1]
ROOT = DOCS.parent

# Whole files of the repository that a page includes.
INCLUDED = {
    "README.md": "/index.md",
    "CONTRIBUTING.md": "/extend/contributing.md",
    "CHANGELOG.md": "/reference/changelog.md",
    "docs/results": "/results/index.md",
}
_DATA = ROOT / "envs/code/repositories"  # programs to be repaired

# Parts of the core whose every module is in the reference.
_WHOLE = ("agentgym", "agentgym.contracts", "agentgym.multi_agent", "agentgym.vector")
# Packages with names to import, in the reference with the modules that define them.
_DOORS = ("agentgym", "agentgym.agents", "agentgym.envs.perturb", "agentgym.evaluation",
          "agentgym.evaluation.forensics")  # fmt: skip
# What users reach from the outside of other parts.
_NAMED = ("agentgym.data.dataset", "agentgym.data.recipe", "agentgym.play.player", "agentgym.runs.run",
          "agentgym.runs.state", "agentgym.turns.control", "agentgym.wrappers.replay")  # fmt: skip


def cards() -> list[Path]:
    """The README.md of every family of environments, agent and part, and other pages beside it."""
    folders = ("agentgym", "envs", "agents", "evaluation")  # rglob does not follow the links inside agentgym/
    found = (path for name in folders for path in sorted((ROOT / name).rglob("*.md")))
    return [path.relative_to(ROOT) for path in found if not path.is_relative_to(_DATA)]


def card_pages() -> dict[Path, str]:
    """The document of every card: envs/robust/README.md is shown by cards/envs/robust."""
    return {
        path: f"cards/{(path.parent if path.name == 'README.md' else path.with_suffix('')).as_posix()}"
        for path in cards()
    }


@cache
def all_modules() -> dict[str, Path]:
    """The file of every module of agentgym whose name has no underscore in front, packages before their modules."""

    def walk(folder: Path, package: str) -> Iterator[tuple[str, Path]]:
        if folder.resolve() == _DATA or not (folder / "__init__.py").exists():
            return
        yield package, folder / "__init__.py"
        for path in sorted(folder.iterdir()):
            if path.suffix == ".py" and not path.stem.startswith("_"):
                yield f"{package}.{path.stem}", path
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                yield from walk(path, f"{package}.{path.name}")

    return {name: path.resolve() for name, path in walk(ROOT / "agentgym", "agentgym")}


@cache
def public_modules() -> dict[str, Path]:
    """The file of every module in the reference: the core, what the catalog names, what examples and doors import."""
    named = {target.partition(":")[0] for entry in catalog.OURS for target in _targets(entry)} | set(_NAMED)
    for path in (DOCS / "examples").glob("*.py"):
        named |= set(re.findall(r"^from (agentgym[\w.]*) import", path.read_text(encoding="utf-8"), re.MULTILINE))
    for door in map(importlib.import_module, _DOORS):
        named |= {getattr(getattr(door, name), "__module__", door.__name__) for name in door.__all__}
    chosen = {name for name in all_modules() if name in named or name.rpartition(".")[0] in _WHOLE} - {"agentgym.cli"}
    packages = {name.rpartition(".")[0] for name in chosen}
    return {name: path for name, path in all_modules().items() if name in chosen | packages}


def _targets(entry: catalog.Entry) -> list[str]:
    return [target for target in (entry.target, entry.vector_target, entry.parallel_target) if target]


def api_label(module: str) -> str:
    """The label of a module in the reference."""
    return f"api-{module}"


@cache
def pages() -> dict[Path, str]:
    """The page (``/cards/envs/robust.md``) or label (``#api-agentgym.stats``) that shows a file."""
    shown = {path: f"#{api_label(module)}" for module, path in public_modules().items()}
    shown |= {ROOT / card: f"/{page}.md" for card, page in card_pages().items()}
    shown |= {ROOT / path: page for path, page in INCLUDED.items()}
    own = (path for path in DOCS.rglob("*.md") if not path.is_relative_to(DOCS / "_build"))
    return {path: f"/{path.relative_to(DOCS).as_posix()}" for path in own} | shown


def write(document: str, text: str) -> None:
    """Write a generated page (``api/agentgym.rst``), unless it is there already: Sphinx reads what is new."""
    path = DOCS / document
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
