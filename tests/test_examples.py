"""The examples of CONTRIBUTING.md run, and stay short."""

import importlib
import json
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from agentgym import catalog, resume
from agentgym.errors import InvalidAction, InvalidParameter

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


def test_environment(example, tmp_path):
    module = example("environment")
    module.main(steps=1024, episodes=2)
    assert "mass" in (tmp_path / "rail.html").read_text(encoding="utf-8")
    batch, alone = gymnasium.make_vec("docs/Rail-v0", 2), gymnasium.make("docs/Rail-v0")
    heavy = {"parameters": {"mass": 2.0}}
    first, _ = batch.reset(seed=[5, 6], options=heavy)
    assert (alone.reset(seed=6, options=heavy)[0] == first[1]).all()
    moved, paid, *_ = batch.step([[1.0], [1.0]])
    assert moved[1].tolist() == pytest.approx([first[1, 0] + 0.05**2 / 2, 0.05 / 2], rel=1e-6)  # F t / m
    assert paid[1] == pytest.approx(-(float(moved[1, 0]) ** 2) - 0.1 * float(moved[1, 1]) ** 2, rel=1e-6)
    for bad in ([[1.0], [2.0]], [[1.0], [np.nan]], [1.0, 1.0], [["a"], ["b"]]):
        with pytest.raises(InvalidAction):
            batch.step(bad)
    with pytest.raises(InvalidParameter, match="mass"):
        batch.reset(options={"parameters": {"mass": 0.0}})


def test_agent(example, capsys, tmp_path):
    module = example("agent")
    module.main(steps=512, episodes=2)
    assert "mean return of 2 episodes: " in capsys.readouterr().out
    record = json.loads((tmp_path / "runs/policy-gradient/config.json").read_text(encoding="utf-8"))
    assert record["config"]["value_coefficient"] == 0.5
    resumed = resume("runs/policy-gradient", more=128)
    assert resumed.config.steps >= 640
    agent = module.PolicyGradient("MlpPolicy", "Pendulum-v1", preset="monte-carlo", n_steps=8)
    assert (agent.gae_lambda, agent.n_steps) == (1.0, 8)
    agent.learn(16)
    with pytest.raises(InvalidParameter, match="value_coefficient is -1"):
        module.PolicyGradient("MlpPolicy", "CartPole-v1", value_coefficient=-1)


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
