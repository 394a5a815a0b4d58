"""Images in on-policy agents: learning, saving, and the errors."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO as StableBaselinesPPO

from agentgym.agents import PPO, SAC, TRPO, OnPolicyMDPO
from agentgym.errors import SpaceMismatch


class Lamp(gymnasium.Env):
    """An image that is dark or light; the action that tells which pays 1."""

    observation_space = spaces.Box(0, 255, (1, 36, 36), np.uint8)
    action_space = spaces.Discrete(2)

    def _picture(self):
        self.light = bool(self.np_random.integers(2))
        return np.full((1, 36, 36), 200 if self.light else 30, np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._picture(), {}

    def step(self, action):
        self.steps += 1
        reward = float(bool(action) == self.light)
        return self._picture(), reward, False, self.steps == 8, {}


FAST = {"n_steps": 64, "learning_rate": 1e-3, "seed": 0, "device": "cpu"}


def accuracy(agent):
    pictures = np.array([np.full((1, 36, 36), value, np.uint8) for value in (30, 200)])
    return [int(action) for action in agent.predict(pictures, deterministic=True)[0]]


@pytest.mark.parametrize(
    ("kind", "given"),
    [(PPO, {"n_epochs": 15, "batch_size": 32}), (OnPolicyMDPO, {"learning_rate": 3e-3, "value_epochs": 2})],
)
def test_an_agent_learns_from_images_and_is_the_same_after_loading(kind, given, tmp_path):
    torch.set_num_threads(1)
    agent = kind("CnnPolicy", Lamp(), **{**FAST, **given})
    before = [each.clone() for each in agent.policy.parameters()]
    agent.learn(512)
    assert accuracy(agent) == [0, 1]
    convolutions = [module for module in agent.policy.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) == (3 if kind is PPO else 6)  # shared, or one network each
    moved = [(old != new).any().item() for old, new in zip(before, agent.policy.parameters(), strict=True)]
    assert all(moved)
    agent.save(tmp_path / "agent")
    again = kind.load(tmp_path / "agent")
    assert again.policy_name == "CnnPolicy"
    picture = np.random.default_rng(0).integers(256, size=(3, 1, 36, 36), dtype=np.uint8)
    np.testing.assert_array_equal(*(each.predict(picture, deterministic=True)[0] for each in (agent, again)))


def test_ppo_on_images_is_stable_baselines3s():
    torch.set_num_threads(1)
    own = PPO("CnnPolicy", Lamp(), **FAST, batch_size=32, policy_kwargs={"net_arch": []})
    other = StableBaselinesPPO(
        "CnnPolicy", Lamp(), **FAST, batch_size=32, policy_kwargs={"activation_fn": torch.nn.Tanh}
    )
    for agent in (own, other):
        agent.set_random_seed(0)
        agent.learn(128)
    for name, weights in other.policy.state_dict().items():
        torch.testing.assert_close(own.policy.state_dict()[name], weights, rtol=0, atol=0)


def test_the_policy_must_suit_the_observations():
    with pytest.raises(SpaceMismatch, match='must be "CnnPolicy"'):
        PPO("MlpPolicy", Lamp())
    with pytest.raises(SpaceMismatch, match='must be "MlpPolicy"'):
        PPO("CnnPolicy", "CartPole-v1")
    for kind in (TRPO, SAC):
        with pytest.raises(SpaceMismatch, match="supports no images"):
            kind("MlpPolicy", Lamp())
