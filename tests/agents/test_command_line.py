"""Every agent through the scripts: trained, listed, evaluated."""

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
