"""Language agents' runs: killed and resumed, they end as if they never were, methods' memories included."""

import csv
import os
import shutil
import signal
import warnings
from pathlib import Path

import pytest

from agentgym.agents.language.loop.learner import Learner
from agentgym.agents.language.loop.rollout import Rollout
from agentgym.errors import Stopped
from agentgym.runs.build import training_environments
from agentgym.runs.checkpoints import Checkpoints
from agentgym.runs.resume import Checkpointer
from agentgym.runs.run import RunConfig
from agentgym.runs.train import resume, train

from .conftest import differing

SMALL = {
    "tasks": 2, "group_size": 4, "width": 16, "layers": 1, "heads": 2, "context": 400,
    "imitation_batches": 20, "imitation_size": 16, "imitation_rate": 1e-2,
}  # fmt: skip
METHODS = ("spear:capacity=2,trigger=0.5", "epo", "kl", "clip-cov:share=0.1,low=-1", "aem")


def ending(path):
    saved = Checkpoints(Path(path) / "checkpoints").newest()
    state = {name: value for name, value in saved.state.items() if name not in ("run", "random.action_space")}
    return {
        "state": state,
        "step": saved.step,
        "final": (Path(path) / "final" / "tensors.safetensors").read_bytes(),
        "metrics": (Path(path) / "metrics.csv").read_text(),
    }


@pytest.mark.parametrize("actions", ["choose", "write"])
def test_stopped_and_resumed_is_never_stopped(actions, tmp_path):
    config = RunConfig(
        "grpo", "agentgym/Household-v0", {"size": "tiny", "tasks": ["place"]}, steps=600, seed=3, threads=1,
        device="cpu", checkpoint_every=300, config={**SMALL, "actions": actions, "methods": METHODS},
    )  # fmt: skip
    whole = train(config, "whole", tmp_path, progress=False)
    assert whole.config.num_envs == 8  # as many worlds as an iteration has episodes
    with (whole.path / "metrics.csv").open(encoding="utf-8") as file:
        assert max(float(row["spear/replayed"] or 0) for row in csv.DictReader(file)) > 0 or actions == "write"
    half = tmp_path / "half"
    shutil.copytree(whole.path, half)
    shutil.rmtree(half / "final")
    steps = Checkpoints(half / "checkpoints").steps()
    assert len(steps) == 2
    shutil.rmtree(half / "checkpoints" / f"{steps[-1]:010d}")
    (half / "record.json").unlink()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*bit for bit.*")
        run = resume(half, progress=False)
    assert run.record()["resumes"][0]["exact"] is True
    assert differing(ending(whole.path), ending(half)) == []


def signalled(monkeypatch, owner, method, when):
    """Send this process SIGTERM in the midst of that call of a method."""
    original, calls = getattr(owner, method), []

    def call(*arguments, **keywords):
        calls.append(method)
        if len(calls) == when:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments, **keywords)

    monkeypatch.setattr(owner, method, call)
    return calls


@pytest.fixture(scope="module")
def imitating(tmp_path_factory):
    """A run that begins with imitation, to its end."""
    config = RunConfig(
        "grpo", "agentgym/Household-v0", {"size": "tiny", "tasks": ["place"]}, steps=200, seed=3, threads=1,
        device="cpu", config={**SMALL, "imitation_batches": 8, "imitation_size": 4, "methods": METHODS[1:3]},
    )  # fmt: skip
    return train(config, "whole", tmp_path_factory.mktemp("imitating"), progress=False)


@pytest.mark.parametrize(
    ("owner", "method", "when", "patience"),
    [
        (Learner, "imitate", 3, 60.0),  # between two batches of imitation
        (Learner, "imitate", 6, 0.0),
        (Rollout, "_decide", 20, 0.0),  # within a rollout: back to its start
        (Learner, "_learn_from_new", 2, 0.0),  # within an update
    ],
)
def test_a_signal_is_heeded_everywhere(monkeypatch, tmp_path, imitating, owner, method, when, patience):
    monkeypatch.setattr(Checkpointer, "LONG", patience)
    monkeypatch.setattr(Checkpointer, "COST", 1e9)
    calls = signalled(monkeypatch, owner, method, when)
    with pytest.raises(Stopped):
        train(imitating.config, "half", tmp_path, progress=False)
    assert len(calls) == when  # at once: not after the rollout, or all of the imitation
    assert len(Checkpoints(tmp_path / "half/checkpoints").steps()) > 0
    assert (method == "imitate") == (Checkpoints(tmp_path / "half/checkpoints").steps() == [0])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(bit for bit|restored).*")
        resume(tmp_path / "half", progress=False)
    assert differing(ending(imitating.path), ending(tmp_path / "half")) == []
    manifests = [(path / "final/manifest.json").read_text() for path in (imitating.path, tmp_path / "half")]
    assert manifests[0] == manifests[1]


def test_seeds_in_a_list_are_taken_as_they_are():
    def texts(seed):
        return training_environments(RunConfig("grpo", "agentgym/Household-v0", num_envs=3)).reset(seed=seed)[0]

    alike = texts([7, 7, 8])
    assert alike[0] == alike[1] != alike[2]
    assert texts(1) == texts(2)  # a number is not used: those seeds follow from the run's
