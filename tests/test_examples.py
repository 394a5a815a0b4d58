"""The examples of CONTRIBUTING.md run, and stay short."""

import importlib
import sys
from pathlib import Path

import pytest

from agentgym import catalog

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


@pytest.fixture
def example(monkeypatch, tmp_path):
    """Imports one as the script that it is; what it adds to the catalog goes with the test."""
    listed = dict(catalog._all())
    monkeypatch.setattr(catalog, "_all", lambda: listed)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.chdir(tmp_path)
    yield importlib.import_module
    for path in EXAMPLES.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_has_at_most_eighty_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80


def test_suite(example, tmp_path, capsys):
    example("suite").main(steps=256, episodes=2)
    page = (tmp_path / "late-and-noisy.html").read_text(encoding="utf-8")
    assert "delay=2, noise=0.2" in page
    assert "late-and-noisy.html" in capsys.readouterr().out
    assert "late and noisy at once" not in catalog.card(catalog.find("suite", "late-and-noisy"))
    assert "observation delay" in catalog.card(catalog.find("suite", "late-and-noisy"))


def test_language_method(example, capsys):
    example("language_method").main(steps=100, demonstrations=1, episodes=2)
    trained, oracle = capsys.readouterr().out.splitlines()[-2:]
    assert trained.startswith("turn-cost: return")
    assert "in" in oracle
    assert oracle.startswith("oracle: return 1.0")
