"""DQN and QR-DQN: the libraries' updates to the bit, images, saving, and the errors."""

import gymnasium
import numpy as np
import pytest
import sb3_contrib
import stable_baselines3
import torch
from gymnasium import spaces

from agentgym.agents import DQN, QRDQN
from agentgym.agents.common.plasticity import AdaptiveReplayRatio
from agentgym.errors import InvalidParameter, NonFinite, SpaceMismatch
from tests.agents.common.test_images import Lamp, accuracy

PAIRS = [(DQN, stable_baselines3.DQN), (QRDQN, sb3_contrib.QRDQN)]
FAST = {
    "learning_starts": 50, "buffer_size": 500, "batch_size": 16, "target_update_interval": 60, "seed": 3,
    "device": "cpu",
}  # fmt: skip


def same_weights(left, right):
    torch.testing.assert_close(left.policy.state_dict(), right.policy.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("more", [{}, {"n_steps": 3}])
def test_they_are_the_librarys_to_the_bit(ours, theirs, more):
    own, its = ({}, {}) if ours is DQN else ({"n_quantiles": 10}, {"policy_kwargs": {"n_quantiles": 10}})
    agents = ((ours, own), (theirs, its))
    same_weights(*(kind("MlpPolicy", "CartPole-v1", **FAST, **more, **few).learn(300) for kind, few in agents))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_the_default_configuration_is_the_librarys(ours, theirs):
    mine, its = (kind("MlpPolicy", "CartPole-v1", device="cpu", buffer_size=10) for kind in (ours, theirs))
    for name in set(ours.saved_arguments) - {"policy_kwargs", "seed", "clip_rewards", "terminal_on_life_loss"}:
        left, right = getattr(mine, name), getattr(its, name)
        assert (left(0.3) == right(0.3)) if callable(left) else left == right, name
    assert [each.shape for each in mine.policy.parameters()] == [each.shape for each in its.policy.parameters()]
    optimizers = [agent.policy.optimizer.defaults for agent in (mine, its)]
    assert optimizers[0] == optimizers[1]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_images_are_learned_and_kept(ours, theirs, tmp_path):
    torch.set_num_threads(1)
    given = {**FAST, "learning_rate": 1e-3, "learning_starts": 64, "train_freq": 2}
    layers = {"value_layers": ()} if ours is DQN else {"value_layers": (), "n_quantiles": 10}
    its = {} if ours is DQN else {"policy_kwargs": {"n_quantiles": 10}}
    agent = ours("CnnPolicy", Lamp(), **given, **layers)
    agent.learn(160)
    same_weights(agent, theirs("CnnPolicy", Lamp(), **given, **its).learn(160))
    agent.learn(240, reset_num_timesteps=False)
    assert accuracy(agent) == [0, 1]
    agent.save(tmp_path / "agent")
    again = ours.load(tmp_path / "agent")
    same_weights(agent, again)
    assert again.exploration_rate == agent.exploration_rate
    pictures = np.random.default_rng(0).integers(256, size=(40, 1, 36, 36), dtype=np.uint8)
    for each in (agent, again):
        np.random.seed(0)  # noqa: NPY002  the generator of Stable-Baselines3
        each.action_space.seed(0)
    np.testing.assert_array_equal(*(each.predict(pictures)[0] for each in (agent, again)))


class Shifted(gymnasium.Env):
    """Actions count from 5 on."""

    observation_space = spaces.Discrete(3, start=1)
    action_space = spaces.Discrete(2, start=5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return 1, {}

    def step(self, action):
        assert action in self.action_space
        self.steps += 1
        return 1 + self.steps % 3, float(action == 6), False, self.steps == 10, {}


@pytest.mark.parametrize("kind", [DQN, QRDQN])
def test_actions_are_those_of_the_environment_and_stored_from_0_on(kind):
    agent = kind("MlpPolicy", Shifted(), **{**FAST, "learning_starts": 20}).learn(60)
    assert set(np.unique(agent.replay_buffer.actions[:60])) <= {0, 1}
    agent.exploration_rate = 1.0
    drawn = agent.predict(np.full(50, 2))[0]
    assert set(drawn.tolist()) == {5, 6}
    assert agent.predict(2)[0] in agent.action_space
    assert (agent.predict(np.full(50, 2), deterministic=True)[0] == agent.predict(2, deterministic=True)[0]).all()


@pytest.mark.parametrize("kind", [DQN, QRDQN])
def test_the_replay_ratio_adapts(kind):
    agent = kind("MlpPolicy", "CartPole-v1", **FAST, value_layers=(8,))
    callback = AdaptiveReplayRatio(high=3, window=2, tolerance=1.0)
    agent.learn(300, callback=callback)
    assert callback.raised_at is not None
    assert agent.gradient_steps == 3


def test_what_they_refuse(capsys):
    with pytest.raises(SpaceMismatch, match="Discrete"):
        DQN("MlpPolicy", "Pendulum-v1")
    with pytest.raises(SpaceMismatch, match='must be "CnnPolicy"'):
        DQN("MlpPolicy", Lamp())
    with pytest.raises(InvalidParameter, match="exploration_fraction"):
        DQN("MlpPolicy", "CartPole-v1", exploration_fraction=0.0)
    with pytest.raises(InvalidParameter, match="n_quantiles"):
        QRDQN("MlpPolicy", "CartPole-v1", n_quantiles=0)
    with pytest.raises(NonFinite, match="loss of dqn"):
        DQN("MlpPolicy", "CartPole-v1", **{**FAST, "learning_rate": 1e30}).learn(200)


def test_a_large_replay_buffer_is_announced_and_one_that_does_not_fit_is_refused(capsys):
    size = 2**30 // (2 * 36 * 36)
    DQN("CnnPolicy", Lamp(), buffer_size=size, device="cpu")
    assert "takes up to 1.0 GiB" in capsys.readouterr().out
    with pytest.raises(InvalidParameter, match="At most buffer_size="):
        DQN("CnnPolicy", Lamp(), buffer_size=10**12, device="cpu")
