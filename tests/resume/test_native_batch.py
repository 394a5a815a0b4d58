"""Runs in one natively batched environment that gives its state away: chosen by itself, resumed bit for bit."""

import shutil
import warnings

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from agentgym.runs.build import build, training_environments
from agentgym.runs.train import resume, train
from agentgym.wrappers.replay import RecordedBatch

from .conftest import RING, differing, everything

ROBUST = {
    "env": "agentgym/RobustHopper-v0", "perturbations": [],
    "env_kwargs": {"randomize": "uniform", "schedule": {"gravity": "random_walk"}},
}  # fmt: skip
PERTURBED = [
    {"type": "ObservationNoise", "std": 0.01}, {"type": "ObservationFreeze", "probability": 0.3, "duration": 3},
    {"type": "StickyAction", "probability": 0.2}, {"type": "ActionDelay", "steps": 2},
    {"type": "ActionGainDrift", "std": 0.05}, {"type": "ActionMixture", "weight": 0.1},
    {"type": "TimeCorrelatedActionNoise", "std": 0.05}, {"type": "RewardNoise", "std": 0.1},
]  # fmt: skip


@pytest.mark.parametrize(
    ("agent", "changes"),
    [
        ("shared-ppo", RING),
        ("shared-mdpo", RING),
        ("ppo", RING),
        ("mdpo-onpolicy", RING),
        ("sac", RING),
        ("ppo", {**RING, "env": "tests/RingOneReward-v0"}),
        ("ppo", ROBUST),
        ("sac", ROBUST),
        ("ppo", {**ROBUST, "perturbations": PERTURBED}),
        ("shared-ppo", {**RING, "perturbations": [{"type": "ObservationNoise", "std": 0.01}]}),  # no native batch
    ],
)
def test_stopped_and_resumed_is_never_stopped(agent, changes, small_run, tmp_path):
    config = small_run(agent, num_envs=2, steps=384, every=192, **changes)
    whole = train(config, "whole", tmp_path, progress=False)
    half = tmp_path / "half"
    shutil.copytree(whole.path, half)
    shutil.rmtree(half / "final")
    shutil.rmtree(half / "checkpoints" / "0000000384")
    (half / "record.json").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "is resumed, but not bit for bit"
        run = resume(half, progress=False)
    assert run.record()["resumes"][0]["exact"] is True
    assert differing(everything(whole.path), everything(half)) == []


def test_equal_budgets_for_one_agent_and_for_several(small_run, tmp_path):
    """Steps are those of environments, whatever the number of agents in them."""
    found = {}
    for agent in ("ppo", "shared-ppo"):
        run = train(small_run(agent, num_envs=2, steps=256, every=100, **RING), agent, tmp_path, progress=False)
        lines = (run.path / "metrics.csv").read_text().splitlines()
        steps = lines[0].split(",").index("time/total_timesteps")
        iterations = lines[0].split(",").index("time/iterations")
        found[agent] = [[line.split(",")[column] for column in (steps, iterations)] for line in lines[1:-1]]
        found[agent].append([path.name for path in sorted((run.path / "checkpoints").glob("0*"))])
    assert found["ppo"] == found["shared-ppo"]
    assert found["ppo"][-1] == ["0000000128", "0000000256"]


def test_a_native_batch_is_taken_where_it_can_be_put_back(small_run):
    assert isinstance(training_environments(small_run("ppo", **RING)), RecordedBatch)
    noisy = {**RING, "perturbations": [{"type": "ObservationNoise", "std": 0.01}]}
    assert isinstance(training_environments(small_run("ppo", **noisy)).unwrapped, DummyVecEnv)
    robust = {**RING, "env": "agentgym/RobustInvertedPendulum-v0"}
    assert isinstance(training_environments(small_run("ppo", num_envs=2, **robust)), RecordedBatch)
    noisy = {**robust, "perturbations": PERTURBED}
    assert isinstance(training_environments(small_run("ppo", num_envs=2, **noisy)), RecordedBatch)
    heavy = {**robust, "perturbations": [{"type": "Gravity", "scale": 1.1}]}  # edits every world's model
    assert isinstance(training_environments(small_run("ppo", num_envs=2, **heavy)).unwrapped, DummyVecEnv)
    one_world = training_environments(small_run("ppo", **robust))  # steps quicker by itself
    assert isinstance(one_world.unwrapped, DummyVecEnv)


@pytest.mark.parametrize(("agent", "perturbations"), [("ppo", []), ("sac", []), ("ppo", PERTURBED)])
def test_an_exact_batch_trains_as_single_environments_do(agent, perturbations, small_run, tmp_path, monkeypatch):
    config = small_run(agent, num_envs=3, steps=384, **{**ROBUST, "perturbations": perturbations})
    batch = train(config, "batch", tmp_path, progress=False)
    monkeypatch.setattr("agentgym.runs.build.has_exact_batch", lambda *_: False)
    monkeypatch.setattr("agentgym.runs.build.make_native_batch", lambda *_: None)
    singles = train(config, "singles", tmp_path, progress=False)
    assert (batch.final / "tensors.safetensors").read_bytes() == (singles.final / "tensors.safetensors").read_bytes()


def test_every_world_of_every_run_has_draws_of_its_own(small_run):
    """The runs' seeds are neighbours; their worlds' must not be."""
    starts = []
    for seed in (3, 4):
        env = build(small_run("ppo", num_envs=3, seed=seed, **RING)).get_env()
        starts += [env.reset(), env.reset()]
    rows = np.concatenate(starts).reshape(12, -1)
    assert len(np.unique(rows, axis=0)) == 12
    again = build(small_run("ppo", num_envs=3, seed=3, **RING)).get_env()
    np.testing.assert_array_equal(again.reset(), starts[0])
