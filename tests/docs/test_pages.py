"""Pages of the site: their Python runs, their commands are such as the command line takes, their examples work."""

import contextlib
import io
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from agentgym import catalog
from agentgym.cli.main import main

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "_extensions"))
from commands import command  # noqa: E402

PAGES = sorted(path for folder in ("start", "use", "extend", "understand") for path in (DOCS / folder).glob("*.md"))
CARDS = [
    path for room in ("agentgym/data", "agentgym/study", "envs", "agents", "evaluation")
    for path in sorted((DOCS.parent / room).rglob("README.md")) if "repositories" not in path.parts
]  # fmt: skip
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    return [code for kind, code in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def commands_of(page):
    """Every ``agentgym VERB ...`` in the code of a page, as arguments."""
    for code in blocks(page, "bash"):
        for line in code.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and Path(words[0]).name == "agentgym":
                yield words[1:]


@pytest.fixture
def apart(monkeypatch, tmp_path):
    """An empty folder to work in; what is added to the catalog goes with the test."""
    listed = dict(catalog._all())
    monkeypatch.setattr(catalog, "_all", lambda: listed)
    monkeypatch.syspath_prepend(str(DOCS / "examples"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for path in (DOCS / "examples").glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page, apart):
    names = {"__name__": "page"}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), names)


@pytest.mark.parametrize("page", [*PAGES, *CARDS, DOCS.parent / "README.md"], ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_commands_of_a_page_parse(page):
    for words in commands_of(page):
        if not words or words[0].startswith("-"):
            continue
        verb, *rest = words
        parser = command(verb, rest[:1] if verb in ("train", "study", "data") else rest).parser
        options = rest[1:] if verb in ("train", "study", "data") else rest
        parser.parse_args(options)  # argparse ends the process on an option that is not there


def test_add_an_environment_as_the_page_says(apart, capsys):
    """The commands under "A plain Gymnasium environment", with fewer steps and episodes."""
    shutil.copy(DOCS / "examples/room.py", apart)
    train, evaluate, *_ = commands_of(DOCS / "extend/environment.md")
    train[train.index("--steps") + 1] = "2048"
    evaluate[evaluate.index("--episodes") + 1] = "1"
    evaluate[evaluate.index("perturbations:levels=2")] = "perturbations:levels=1,axes=action"
    for words in (train, evaluate):
        main(words)
    assert "insulation" in (apart / "reports/room/report.html").read_text(encoding="utf-8")


def test_a_package_of_your_own_is_found(apart):
    """The entry point of the page, with the targets that it names."""
    names = {"__name__": "warm_rooms"}
    exec(blocks(DOCS / "extend/package.md", "python")[0], names)
    for entry in names["entries"]():
        assert catalog.load(entry).__name__ in ("Room", "PolicyGradient")
    catalog.add(*names["entries"]())
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        main(["list", "envs"])
    assert "warm/Room-v0" in output.getvalue()
