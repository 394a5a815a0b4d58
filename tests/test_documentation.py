"""What README and cards tell people to import is there."""

import importlib
import re
from pathlib import Path

import pytest

from agentgym.errors import MissingExtra

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "agentgym/data/README.md",
    ROOT / "agentgym/study/README.md",
    ROOT / "docs/scale.md",
    *sorted(p for room in ("envs", "agents", "evaluation") for p in (ROOT / room).rglob("README.md")),
]
IMPORT = re.compile(r"^\s*from (agentgym[\w.]*) import ([\w, ]+)", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_imports_and_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for module, names in IMPORT.findall(text):
        try:
            found = importlib.import_module(module)
        except MissingExtra:
            continue
        for name in names.split(","):
            assert hasattr(found, name.strip()), f"{module} has no {name}"
    for target in LINK.findall(text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
