"""What %BC promises: the mean return of the episodes that it cloned."""

from pathlib import Path

import numpy as np
import pytest

from agentgym.agents.common.saving import load_agent
from agentgym.agents.offline.bc.bc import BC, PercentBC
from agentgym.contracts.agent import PROMISED
from agentgym.data.dataset import OfflineDataset
from agentgym.evaluation.evaluate import evaluate
from agentgym.runs.run import RunConfig
from agentgym.runs.train import train

SMALL = {"layers": (16,), "batch_size": 32, "evaluate_every": 10, "log_every": 10, "evaluation_episodes": 2}


def test_the_promise_is_the_mean_of_the_cloned_returns_and_saved(pendulum: OfflineDataset, tmp_path: Path) -> None:
    agent = PercentBC(dataset=pendulum, seed=0, top=0.2, **SMALL)
    best = np.sort(pendulum.returns)[-4:].mean()
    agent.save(tmp_path / "agent")
    for one in (agent, load_agent(tmp_path / "agent")):
        assert one.promised(None, 3).tolist() == pytest.approx([best] * 3, rel=1e-6)
    assert not BC.traits.promises


def test_it_stands_beside_what_is_achieved(stored: str, pendulum: OfflineDataset, tmp_path: Path) -> None:
    run = train(RunConfig("percent-bc", dataset=stored, steps=10, config=SMALL), "run", tmp_path, progress=False)
    best = float(np.sort(pendulum.returns)[-2:].mean())
    head, *rows = (run.path / "metrics.csv").read_text().splitlines()
    last = dict(zip(head.split(","), rows[-1].split(","), strict=True))
    assert float(last["eval/promised_mean"]) == pytest.approx(best, rel=1e-6)
    scores = run.record()["scores"]
    assert scores["final_promised"] == scores["best_promised"] == pytest.approx(best, rel=1e-6)
    assert scores["final_return"] == pytest.approx(float(last["eval/return_mean"]), rel=1e-6)
    found = evaluate(run.path, "perturbations:axes=reward,levels=1", episodes=2, progress=False)
    assert all(row.measures[PROMISED] == pytest.approx(best, rel=1e-6) for row in found.rows)
