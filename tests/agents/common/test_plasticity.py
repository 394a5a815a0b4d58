"""The fraction of active units in closed form, and the callback that follows it."""

import pytest
import torch
from stable_baselines3 import DQN, PPO, SAC
from torch import nn

from agentgym.agents.common.plasticity import AdaptiveReplayRatio, active_units
from agentgym.errors import InvalidParameter


def network(bias):
    layer = nn.Linear(3, 4)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor(bias))
    return nn.Sequential(layer, nn.ReLU())


@pytest.mark.parametrize(("bias", "share"), [([-1.0] * 4, 0.0), ([1.0] * 4, 1.0), ([1.0, -1.0, -1.0, 0.0], 0.25)])
def test_dead_units_are_counted(bias, share):
    module = network(bias)
    assert active_units(module, lambda: module(torch.ones(5, 3))) == share
    assert not module[1]._forward_hooks
    with pytest.raises(InvalidParameter, match="no ReLU"):
        active_units(nn.Linear(2, 2), lambda: None)


@pytest.mark.parametrize(("kind", "env"), [(DQN, "CartPole-v1"), (SAC, "Pendulum-v1")])
def test_the_ratio_is_raised_once_when_the_units_settle(kind, env):
    given = {
        "learning_starts": 50,
        "train_freq": 2,
        "gradient_steps": 1,
        "buffer_size": 2000,
        "seed": 0,
        "device": "cpu",
    }
    given |= {"policy_kwargs": {"net_arch": [8]}}
    agent = kind("MlpPolicy", env, **given)
    callback = AdaptiveReplayRatio(high=3, window=2, tolerance=1.0)  # any change counts as settled
    agent.learn(900 if kind is SAC else 300, callback=callback)
    assert len(callback.history) == 2
    assert 0 < callback.history[0] <= 1
    assert callback.raised_at is not None
    assert agent.gradient_steps == 3
    never = AdaptiveReplayRatio(high=3, window=10_000)
    agent = kind("MlpPolicy", env, **given)
    agent.learn(250, callback=never)
    assert agent.gradient_steps == 1
    assert never.raised_at is None


def test_what_cannot_follow_is_refused():
    with pytest.raises(InvalidParameter, match="off-policy"):
        PPO("MlpPolicy", "CartPole-v1", n_steps=8, device="cpu").learn(8, callback=AdaptiveReplayRatio())
    with pytest.raises(InvalidParameter, match="at least 1"):
        AdaptiveReplayRatio(window=0)
