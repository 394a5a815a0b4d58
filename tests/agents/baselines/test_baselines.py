import importlib
import sys
from typing import Any

import numpy as np
import pytest
import sb3_contrib
import stable_baselines3
import torch

from agentgym.agents.baselines.ppo import PPO
from agentgym.agents.baselines.trpo import TRPO
from agentgym.errors import InvalidParameter, MissingExtra

PAIRS = [(PPO, stable_baselines3.PPO), (TRPO, sb3_contrib.TRPO)]
ENVS = ["Pendulum-v1", "CartPole-v1"]


def _weights(agent: Any) -> torch.Tensor:
    return torch.cat([tensor.flatten().double() for tensor in agent.policy.state_dict().values()])


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("env", ENVS)
def test_without_normalisation_they_are_the_library_s_to_the_bit(ours, theirs, env):
    config = {"n_steps": 64, "batch_size": 32}
    mine = ours("MlpPolicy", env, seed=3, device="cpu", **ours.Config(**config).to_kwargs()).learn(192)
    its = theirs("MlpPolicy", env, seed=3, device="cpu", **config).learn(192)
    for name, tensor in its.policy.state_dict().items():
        assert torch.equal(mine.policy.state_dict()[name], tensor), name


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_the_default_configuration_is_the_library_s(ours, theirs):
    mine = ours("MlpPolicy", "Pendulum-v1", device="cpu", **ours.Config().to_kwargs())
    its = theirs("MlpPolicy", "Pendulum-v1", device="cpu")
    compared = set(ours.saved_arguments) - {
        "policy_kwargs", "seed", "normalize_rewards", "bootstrap_time_limits", "anneal_learning_rate", "clip_rewards",
        "terminal_on_life_loss",
    }  # fmt: skip
    for name in compared:
        mine_value, its_value = getattr(mine, name), getattr(its, name)
        if callable(mine_value):
            mine_value, its_value = mine_value(0.3), its_value(0.3)
        assert mine_value == its_value, name
    shapes = [{n: t.shape for n, t in agent.policy.state_dict().items()} for agent in (mine, its)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("cls", [PPO, TRPO])
@pytest.mark.parametrize("env", ENVS)
def test_saved_and_loaded_they_predict_and_go_on_alike(cls, env, tmp_path):
    config = cls.Config(n_steps=64, batch_size=32, normalize=True, anneal_learning_rate=True)
    agent = cls("MlpPolicy", env, seed=0, device="cpu", **config.to_kwargs()).learn(192)
    agent.save(tmp_path / "agent")
    assert not list((tmp_path / "agent").glob("*.pkl"))
    loaded = cls.load(tmp_path / "agent", env=env, device="cpu")
    assert loaded.num_timesteps == 192
    assert torch.equal(_weights(loaded), _weights(agent))
    observations = np.stack([agent.observation_space.sample() for _ in range(9)]).clip(-10, 10)
    np.testing.assert_array_equal(
        agent.predict(observations, deterministic=True)[0], loaded.predict(observations, deterministic=True)[0]
    )
    weights = []
    for one in (agent, loaded):
        one.set_random_seed(7)
        one._last_obs = None
        weights.append(_weights(one.learn(64, reset_num_timesteps=False)))
    assert torch.equal(*weights)


@pytest.mark.parametrize("cls", [PPO, TRPO])
def test_equal_seeds_give_bit_equal_weights_and_others_do_not(cls):
    arguments = cls.Config(n_steps=64, normalize=True).to_kwargs()
    weights = [
        _weights(cls("MlpPolicy", "Pendulum-v1", seed=seed, device="cpu", **arguments).learn(128)) for seed in (1, 1, 2)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("cls", [PPO, TRPO])
def test_gsde_is_refused(cls):
    with pytest.raises(InvalidParameter, match="gSDE"):
        cls("MlpPolicy", "Pendulum-v1", use_sde=True)


def test_a_missing_extra_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    monkeypatch.delitem(sys.modules, "agentgym.agents.baselines.trpo")
    with pytest.raises(MissingExtra, match=r'pip install "agentgym\[contrib\]"'):
        importlib.import_module("agentgym.agents.baselines.trpo")
