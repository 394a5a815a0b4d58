"""A run that is killed and resumed is the run that was never killed: real processes, SIGKILL, bit for bit."""

import dataclasses
import os
import signal
import time
from dataclasses import asdict

import numpy as np
import pytest
from gymnasium import spaces

from agentgym.data.dataset import Description, OfflineDataset
from agentgym.data.storage import save_dataset
from agentgym.evaluation.evaluate import evaluate
from agentgym.runs.run import Run, RunConfig
from agentgym.runs.train import train
from tests.forked import FORKED

from .conftest import differing, everything

SHORT_CELL = {"actions": 20, "start": "mixed", "carry_on": 0.5, "columns": 24, "points": 17, "time_step": 0.15}

TRAIN = """
import os, warnings
os.environ.update(environment)
os.dup2(os.open(root + "/errors.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
warnings.filterwarnings("error", message=".*(bit for bit|and restored|is damaged|Another run).*")
from agentgym.runs.run import RunConfig
from agentgym.runs.train import resume, train
if config is None:
    resume(root + "/run", progress=False)
else:
    train(RunConfig(**config), "run", root, progress=False)
"""
TYPE = """
import os, sys
os.chdir(root)
os.dup2(os.open("errors.txt", os.O_WRONLY | os.O_CREAT), 2)
from agentgym.cli.main import main
main(words)
"""


def start(root, config):
    names = {
        "root": str(root), "config": None if config is None else asdict(config), "environment": dict(os.environ),
    }  # fmt: skip
    process = FORKED.Process(target=exec, args=(TRAIN, names))
    process.start()
    return process


def finish(process, root):
    process.join(300)
    assert process.exitcode == 0, (root / "errors.txt").read_text()


def newest(root):
    return max((int(path.name) for path in (root / "run/checkpoints").glob("[0-9]*")), default=-1)


def kill_at_random(process, root, generator):
    """Sometimes while it starts, mostly after it has got further than it was, whatever it is doing then."""
    before, began = newest(root), time.monotonic()
    patience = generator.uniform(0.5, 4.0) if generator.random() < 0.15 else 60.0
    while process.is_alive() and newest(root) <= before and time.monotonic() - began < patience:
        time.sleep(0.005)
    time.sleep(generator.uniform(0.0, 0.25))
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), (root / "errors.txt").read_text()


def killed_and_resumed(root, config, kills, seed):
    """Returns at which steps the run had to go on, and how many kills it took."""
    generator, died = np.random.default_rng(seed), 0
    process = start(root, config)
    while died < kills and process.is_alive():
        kill_at_random(process, root, generator)
        died += process.exitcode == -signal.SIGKILL
        begun = (root / "run/config.json").exists()
        if begun and Run.open(root / "run").record()["finished_steps"] == config.steps:
            break
        process = start(root, None if begun else config)  # killed before it began: the name is still free
    finish(process, root)
    return died


@pytest.mark.parametrize(
    ("kills", "steps"), [(2, 600), pytest.param(20, 5000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
@pytest.mark.parametrize(
    ("agent", "num_envs"),
    [
        ("sac", 1), ("sac", 4), ("sac by autograd", 1), ("ppo", 1), ("ppo", 4), ("mdpo", 1), ("mdpo by autograd", 1),
        ("mdpo-onpolicy", 4), ("shared-ppo", 4), ("m2td3", 1), ("m2td3", 4), ("rarl", 1), ("rarl", 4),
        ("tc-rmdp", 1), ("tc-rmdp", 4), ("iwocs", 1), ("iwocs", 4), ("maddpg", 4), ("maddpg", 1),
        ("hatrpo", 4), ("hatrpo-q", 4), ("dqn", 1), ("dqn", 4), ("qrdqn", 4),
    ],
)  # fmt: skip
def test_killed_and_resumed_is_never_killed(agent, num_envs, kills, steps, small_run, tmp_path):
    if kills == 2 and (agent, num_envs) != ("sac", 1):
        pytest.skip("the others run under make test-slow; in one process each goes on exactly in test_resume.py")
    agent, by_autograd, _ = agent.partition(" by autograd")
    if kills == 2:
        steps //= 2
    config = small_run(agent, num_envs, steps=steps * num_envs, every=steps * num_envs // 25)
    if by_autograd:
        config.config["update_by"] = "autograd"
    if agent == "shared-ppo":  # a native batch
        config = dataclasses.replace(config, env="agentgym/Convection-v0", env_kwargs=SHORT_CELL, perturbations=[])
    (tmp_path / "cut").mkdir()
    train(config, "run", tmp_path / "whole", progress=False)
    assert killed_and_resumed(tmp_path / "cut", config, kills, seed=num_envs) >= kills * 0.9
    one, other = (everything(tmp_path / name / "run") for name in ("whole", "cut"))
    assert differing(one, other) == []
    record = Run.open(tmp_path / "cut/run").record()
    assert all(resumed["exact"] for resumed in record["resumes"])
    without = ("shared-ppo", "maddpg", "hatrpo", "hatrpo-q", "dqn", "qrdqn")
    suites = [] if agent in without else ["perturbations:axes=action,levels=1"]
    kwargs = config.env_kwargs if agent in ("shared-ppo", "dqn", "qrdqn") else {}
    scores = [
        list(evaluate(tmp_path / name / "run", suites, env_kwargs=kwargs, episodes=2, progress=False).rows)
        for name in ("whole", "cut")
    ]
    assert repr([*scores[0]]) == repr([*scores[1]])  # a measure may be NaN


@pytest.mark.slow
def test_the_gradient_through_convection_goes_on_exactly_in_each_of_its_stages(tmp_path):
    settings = {
        "merge_steps": 24, "switch": True, "starts": ("two-pair", "one-pair"), "window": 4, "lead": 2,
        "gradient_worlds": 2, "validation_worlds": 2, "validate_every": 1, "distill_rounds": 3, "distill_worlds": 2,
        "distill_updates": 20, "actor_layers": (8,), "value_layers": (8,), "n_steps": 6, "n_epochs": 2,
        "batch_size": 60,
    }  # fmt: skip
    config = RunConfig(
        "shared-gradient", "agentgym/Convection-v0", {**SHORT_CELL, "actions": 12, "carry_on": 0.0}, num_envs=2,
        steps=24 + 48 + 2 * 72 + 3 * 24, seed=3, threads=1, checkpoint_every=1, config=settings,
    )  # fmt: skip
    (tmp_path / "cut").mkdir()
    train(config, "run", tmp_path / "whole", progress=False)
    assert killed_and_resumed(tmp_path / "cut", config, 6, seed=0) >= 4  # of about eight rollouts
    one, other = (everything(tmp_path / name / "run") for name in ("whole", "cut"))
    assert differing(one, other) == []
    assert all(resumed["exact"] for resumed in Run.open(tmp_path / "cut/run").record()["resumes"])
    assert one["state"]["imitation.round"] >= 3


@pytest.mark.slow
def test_a_language_agent_goes_on_exactly_with_its_critic_its_reference_and_its_buffer(tmp_path):
    settings = {
        "tasks": 2, "group_size": 4, "width": 16, "layers": 1, "heads": 2, "context": 400, "imitation_batches": 4,
        "imitation_size": 16, "imitation_rate": 1e-2, "advantage": "gae", "skip_dead": False,
        "methods": ["kl", "epo", "spear:capacity=2,trigger=0.5", "laser"],
    }  # fmt: skip
    config = RunConfig(
        "grpo", "agentgym/Household-v0", {"size": "tiny", "tasks": ["place"], "max_turns": 8}, steps=700, seed=3,
        threads=1, device="cpu", checkpoint_every=1, config=settings,
    )  # fmt: skip
    (tmp_path / "cut").mkdir()
    train(config, "run", tmp_path / "whole", progress=False)
    assert killed_and_resumed(tmp_path / "cut", config, 4, seed=2) == 4
    one, other = (everything(tmp_path / name / "run") for name in ("whole", "cut"))
    assert {"advantage", "kl", "spear", "laser"} <= set(one["state"]["methods"])
    for run in (one, other):
        for name in ("python", "numpy", "torch", "action_space"):  # the process's own: nothing is drawn from them
            del run["state"][f"random.{name}"]
    assert differing(one, other) == []
    assert all(resumed["exact"] for resumed in Run.open(tmp_path / "cut/run").record()["resumes"])


def random_data():
    rng, steps, length = np.random.default_rng(0), 600, 50
    ends = np.zeros(steps, bool)
    ends[length - 1 :: length] = True
    return OfflineDataset(
        rng.normal(size=(steps + steps // length, 5)).astype(np.float32),
        rng.uniform(-1, 1, (steps, 2)).astype(np.float32), rng.normal(size=steps).astype(np.float32),
        np.zeros(steps, bool), ends, np.arange(0, steps + 1, length),
        spaces.Box(-np.inf, np.inf, (5,), np.float32), spaces.Box(-1, 1, (2,), np.float32),
        Description("agentgym/random/killed-v0"),
    )  # fmt: skip


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("agent", "update_by"),
    [
        ("td3bc", "stack"), pytest.param("td3bc", "autograd", marks=SLOW), pytest.param("prdc", "stack", marks=SLOW),
        pytest.param("prdc", "autograd", marks=SLOW), pytest.param("iql", "stack", marks=SLOW),
        pytest.param("iql", "autograd", marks=SLOW), pytest.param("bc", "stack", marks=SLOW),
        pytest.param("bc", "autograd", marks=SLOW),
    ],
)  # fmt: skip
def test_offline_learning_goes_on_exactly(agent, update_by, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    data = random_data()
    save_dataset(data)
    settings = {"layers": (32, 24), "batch_size": 32, "log_every": 25, "update_by": update_by}
    config = RunConfig(
        agent, dataset=data.description.name, steps=600, seed=3, threads=1, checkpoint_every=24, config=settings
    )
    (tmp_path / "cut").mkdir()
    train(config, "run", tmp_path / "whole", progress=False)
    assert killed_and_resumed(tmp_path / "cut", config, 2, seed=1) == 2
    one, other = (everything(tmp_path / name / "run") for name in ("whole", "cut"))
    for run in (one, other):
        for name in ("python", "numpy", "torch", "action_space"):  # the process's own: these agents draw from theirs
            del run["state"][f"random.{name}"]
    assert differing(one, other) == []
    assert all(resumed["exact"] for resumed in Run.open(tmp_path / "cut/run").record()["resumes"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_writes_a_checkpoint_and_says_how_to_go_on(number, tmp_path):
    words = ["train", "sac", "--env", "Pendulum-v1", "--name", "run", "--steps", "100000", "--checkpoint-every", "0"]
    words += ["--config.actor-layers", "16", "--config.critic-layers", "16"]
    process = FORKED.Process(target=exec, args=(TYPE, {"root": str(tmp_path), "words": words}))
    process.start()
    while not (tmp_path / "runs/run/config.json").exists():
        assert process.is_alive(), (tmp_path / "errors.txt").read_text()
        time.sleep(0.05)
    time.sleep(1.0)
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == 128 + number
    said = (tmp_path / "errors.txt").read_text()
    assert "agentgym resume runs/run" in said
    assert "Traceback" not in said
    assert len(list((tmp_path / "runs/run/checkpoints").glob("[0-9]*"))) == 1
    assert Run.open(tmp_path / "runs/run").config.steps == 100_000
