"""Language agents' runs: killed and resumed, they end as if they never were, methods' memories included."""

import csv
import shutil
import warnings
from pathlib import Path

import pytest

from agentgym.checkpoints import Checkpoints
from agentgym.runs import RunConfig
from agentgym.training import resume, train, training_environments

from .conftest import differing

SMALL = {
    "tasks": 2, "group_size": 4, "width": 16, "layers": 1, "heads": 2, "context": 400,
    "imitation_batches": 20, "imitation_size": 16, "imitation_rate": 1e-2,
}  # fmt: skip
METHODS = ("spear:capacity=2,trigger=0.5", "epo", "kl", "clip-cov:share=0.1,low=-1", "aem")


def ending(path):
    saved = Checkpoints(Path(path) / "checkpoints").newest()
    state = {name: value for name, value in saved.state.items() if name != "run"}
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


def test_seeds_in_a_list_are_taken_as_they_are():
    def texts(seed):
        return training_environments(RunConfig("grpo", "agentgym/Household-v0", num_envs=3)).reset(seed=seed)[0]

    alike = texts([7, 7, 8])
    assert alike[0] == alike[1] != alike[2]
    assert texts(1) == texts(2)  # a number is not used: those seeds follow from the run's
