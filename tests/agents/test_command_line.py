"""Every agent through the scripts: trained, listed, evaluated."""

import dataclasses
import inspect

import pytest

from agentgym import catalog
from agentgym.evaluation.evaluate import evaluate
from agentgym.runs.run import RunConfig
from agentgym.runs.train import train
from tests.agents.marl import ring

TINY = {
    "sac": {"learning_starts": 20, "batch_size": 16, "actor_layers": (8, 8), "critic_layers": (8, 8)},
    "mdpo": {"learning_starts": 20, "batch_size": 16, "actor_layers": (8, 8), "critic_layers": (8, 8)},
    "mdpo-onpolicy": {"n_steps": 32},
    "ppo": {"n_steps": 32, "normalize": True, "batch_size": 32},
    "trpo": {"n_steps": 32, "normalize": True},
    "dqn": {"learning_starts": 20, "batch_size": 16, "value_layers": (8,)},
    "qrdqn": {"learning_starts": 20, "batch_size": 16, "value_layers": (8,), "n_quantiles": 5},
}
CHOOSING = ("dqn", "qrdqn")  # of a finite number of actions
SHARED = {  # in a joint environment
    "shared-ppo": {"batch_size": 125},
    "shared-mdpo": {"policy_steps": 5},
}


@pytest.mark.parametrize("agent", TINY)
def test_trained_and_evaluated_by_name(agent, tmp_path):
    env = "CartPole-v1" if agent in CHOOSING else "InvertedPendulum-v5"
    config = RunConfig(agent, env, steps=64, seed=0, device="cpu", threads=1, config=TINY[agent])
    run = train(config, "run", tmp_path, progress=False)
    suites = ["perturbations:axes=action,levels=1", "attacks:kinds=random+maximal_action_difference,epsilons=0.1"]
    result = evaluate(run.path, suites, episodes=1, progress=False)
    assert {row.error for row in result.rows} == {""}
    assert all(row.episode_return > 0 for row in result.rows)


@pytest.mark.parametrize("agent", SHARED)
def test_agents_with_a_shared_policy_too(agent, tmp_path):
    ring.register()
    config = RunConfig(agent, "tests/Ring-v0", num_envs=2, steps=200, device="cpu", threads=1, config=SHARED[agent])
    run = train(config, "run", tmp_path, progress=False)
    suites = [
        "perturbations:axes=observation+action,levels=1",
        "attacks:kinds=random+maximal_action_difference,epsilons=0.1",
    ]
    result = evaluate(run.path, suites, episodes=1, progress=False)
    assert {row.error for row in result.rows} == {""}
    assert all(row.episode_return > 0 for row in result.rows)


@pytest.mark.parametrize("agent", [*TINY, *SHARED])
def test_it_has_a_card(agent):
    assert "arXiv" in catalog.card(catalog.find("agent", agent))


@pytest.mark.parametrize("agent", [entry.id for entry in catalog.OURS if entry.kind == "agent"])
def test_every_hyperparameter_has_its_own_help(agent):
    """tyro takes the comment at the end of a field's line as its help, or else the comment above: no heading there."""
    config = catalog.load(catalog.find("agent", agent)).Config
    for field in dataclasses.fields(config):
        owner = next(cls for cls in config.__mro__ if field.name in vars(cls).get("__annotations__", {}))
        lines = inspect.getsource(owner).splitlines()
        place = next(n for n, line in enumerate(lines) if line.startswith(f"    {field.name}: "))
        if "  # " in lines[place]:
            continue
        above = lines[place - 1].strip()
        assert above.startswith("#"), f"{owner.__name__}.{field.name} has no help"
        before = lines[place - 2].strip()
        heading = not before or before.startswith("#")
        assert not heading, f"{owner.__name__}.{field.name} has the heading {above!r} as its help"
