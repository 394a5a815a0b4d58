"""The bundled repositories as texts, and which of them are held out of training."""

from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["HELD_OUT", "Repository", "names", "repository"]

# Held out of training. Chosen before anything was learned: one about space, one about texts, one about rules, one about
# dates.
HELD_OUT = ("codes", "days", "grid", "library")


class Repository:
    """A repository without faults.

    Attributes:
        name: its name, also that of its package.
        files: text of each file by relative path, sorted.
        modules: paths of the package's modules that have functions, sorted.
        test_files: paths of the test files, sorted.
    """

    def __init__(self, name: str, texts: dict[str, str]) -> None:
        self.name, self.files = name, texts
        self.modules = [path for path in texts if path.startswith(f"{name}/") and not path.endswith("__init__.py")]
        self.test_files = [path for path in texts if path.startswith("tests/test_")]


@cache
def names() -> tuple[str, ...]:
    """The names of all repositories, sorted."""
    return tuple(sorted(folder.name for folder in _root().iterdir() if folder.is_dir()))


@cache
def repository(name: str) -> Repository:
    """A repository by name."""
    texts: dict[str, str] = {}
    waiting = [(_root() / name, "")]
    while waiting:
        folder, path = waiting.pop()
        for entry in folder.iterdir():
            if entry.is_dir() and entry.name != "__pycache__":
                waiting.append((entry, f"{path}{entry.name}/"))
            elif entry.name.endswith((".py", ".md")):
                texts[path + entry.name] = entry.read_text(encoding="utf-8")
    return Repository(name, dict(sorted(texts.items())))


def _root() -> Any:
    return files("agentgym.envs.code") / "repositories"
