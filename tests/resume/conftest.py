"""A small run that has everything a run can have: domain randomisation, perturbations, a ring buffer that wraps."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from agentgym.runs.checkpoints import Checkpoints
from agentgym.runs.run import Run, RunConfig
from tests.agents.marl import ring

SMALL = {
    "sac": {
        "learning_starts": 60, "batch_size": 32, "buffer_size": 300,
        "actor_layers": (32, 32), "critic_layers": (32, 32),
    },
    "ppo": {"n_steps": 32, "batch_size": 32, "n_epochs": 2},
    "mdpo": {
        "learning_starts": 60, "batch_size": 32, "buffer_size": 300, "snapshot_interval": 50,
        "actor_layers": (32, 32), "critic_layers": (32, 32),
    },
    **{
        agent: {
            "learning_starts": 60, "batch_size": 32, "buffer_size": 300,
            "actor_layers": (32, 32), "critic_layers": (32, 32),
        }
        for agent in ("m2td3", "rarl", "tc-rmdp")
    },
    "iwocs": {
        "learning_starts": 40, "batch_size": 32, "buffer_size": 300, "actor_layers": (16,), "critic_layers": (16,),
        "predictor_layers": (16,), "search": "grid", "search_points": 2, "search_envs": 2, "radii": (0.5, 2.0),
        "on_repeat": "sample", "model_share": 0.15,
    },
    "maddpg": {
        "learning_starts": 60, "batch_size": 32, "buffer_size": 300, "train_every": 4, "log_every": 40,
        "actor_layers": (16,), "critic_layers": (16,),
    },
    "hatrpo": {"n_steps": 8, "log_every": 40, "actor_layers": (16,), "value_layers": (16,)},
    "hatrpo-q": {
        "n_steps": 8, "log_every": 40, "actor_layers": (16,), "buffer_size": 300, "batch_size": 32,
        "learning_starts": 60, "set_units": 8,
    },
    "mdpo-onpolicy": {"n_steps": 32, "value_batch_size": 32},
    **{
        agent: {
            "learning_starts": 60, "batch_size": 32, "buffer_size": 300, "target_update_interval": 50,
            "value_layers": (16,), "exploration_fraction": 0.8, "clip_rewards": True, "terminal_on_life_loss": True,
        }
        for agent in ("dqn", "qrdqn")
    },
    "shared-ppo": {"n_steps": 32, "batch_size": 80, "n_epochs": 2},
    "shared-mdpo": {"n_steps": 32, "value_batch_size": 80, "policy_steps": 5, "value_epochs": 2},
}  # fmt: skip
SKIRMISH = {"env": "agentgym/Skirmish-v0", "env_kwargs": {}, "perturbations": []}  # whose agents fall
RING = {"env": "tests/Ring-v0", "env_kwargs": {}, "perturbations": []}  # natively batched, several agents
GAME = {
    "env": "agentgym/Stori-Breakout-0-v0",
    "env_kwargs": {"effects": [{"type": "RandomAction"}], "max_frames": 1200},
    "perturbations": [],
}
OTHER = {**dict.fromkeys(("maddpg", "hatrpo", "hatrpo-q"), SKIRMISH), **dict.fromkeys(("dqn", "qrdqn"), GAME)}
ring.register()


@pytest.fixture(scope="session")
def small_run():
    """Makes the configuration of a small run."""

    def make(agent="sac", num_envs=1, steps=400, every=100, **changes):
        config = RunConfig(
            agent, "agentgym/RobustInvertedPendulum-v0", {"randomize": "uniform"},
            [{"type": "ObservationNoise", "std": 0.01}, {"type": "StickyAction", "probability": 0.2}],
            num_envs=num_envs, steps=steps, seed=3, threads=1, checkpoint_every=every, config=dict(SMALL[agent]),
        )  # fmt: skip
        other = RING if agent.startswith("shared-") else OTHER.get(agent, {})
        return dataclasses.replace(config, **{**other, **changes})

    return make


def everything(path):
    """All that a run has come to: its last checkpoint with the rows, the trained agent's files, its metrics."""
    saved = Checkpoints(Path(path) / "checkpoints").newest()
    state = dict(saved.state)
    state.pop("run")  # configuration and versions
    for episode in state.get("ep_info_buffer", ()):  # offline agents have none
        episode.pop("t", None)  # wall clock; language agents keep none
    state["log.pending"] = {
        kind: {key: value for key, value in values.items() if not key.startswith("time/")}
        for kind, values in state["log.pending"].items()
    }
    rows = {}
    for name, parts in saved.segments.items():
        from agentgym.runs import state_files

        arrays = [state_files.read(folder).arrays for _, folder in parts]
        capacity = SMALL["sac"]["buffer_size"] // Run.open(path).config.num_envs
        rows[name] = {
            key: np.concatenate([a[key] for a in arrays])[-capacity:] for key in (arrays[0] if arrays else ())
        }
    return {
        "state": state,
        "rows": rows,
        "step": saved.step,
        "final": (Path(path) / "final" / "tensors.safetensors").read_bytes(),
        "metrics": (Path(path) / "metrics.csv").read_text(),
    }


def differing(left, right, path=""):
    """Paths at which two nested states are not equal bit for bit."""
    if isinstance(left, dict) and isinstance(right, dict):
        keys = sorted({*left, *right})
        return [p for key in keys for p in differing(left.get(key), right.get(key), f"{path}/{key}")]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [p for i, (a, b) in enumerate(zip(left, right, strict=True)) for p in differing(a, b, f"{path}/{i}")]
    return [] if _same(left, right) else [path]


def _same(left, right):
    if type(left) is not type(right):
        return False
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, np.ndarray | np.generic):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    return left == right
