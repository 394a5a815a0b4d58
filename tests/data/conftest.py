"""A folder for datasets, and behaviours that are trained in seconds."""

from pathlib import Path

import pytest

from agentgym.recipes import behaviours, control
from agentgym.recipes.behaviours import Behaviour

TINY = Behaviour("InvertedPendulum-v5", 600, 200, 100, 600)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Minari keeps datasets."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inverted pendulum's behaviour and data, small."""
    monkeypatch.setitem(behaviours.BEHAVIOURS, "inverted-pendulum", TINY)
    monkeypatch.setitem(control.SIZES, "inverted-pendulum", 60)
    monkeypatch.setattr(control, "REFERENCE_EPISODES", 6)
    monkeypatch.setattr(control, "SELECTION_EPISODES", 4)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny behaviour is trained once."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(behaviours.BEHAVIOURS, "inverted-pendulum", TINY)
        behaviours.trained("inverted-pendulum", root, progress=False)
    return root
