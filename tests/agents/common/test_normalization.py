from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agentgym.agents.baselines.ppo import PPO
from agentgym.agents.common.normalization import LearnersView, NormalizedFeatures, RunningMoments
from agentgym.agents.common.saving import load_agent
from agentgym.errors import InvalidParameter


def _normalising(env: Any = "Pendulum-v1", **options: Any) -> PPO:
    arguments = PPO.Config(n_steps=64, normalize=True).to_kwargs()
    return PPO("MlpPolicy", env, seed=0, device="cpu", **{**arguments, **options})


def test_running_moments_are_those_of_everything_seen():
    generator = np.random.default_rng(0)
    batches = [generator.normal(3, 2, (n, 4)) for n in (1, 5, 200)]
    moments = RunningMoments((4,))
    for batch in batches:
        moments.update(batch)
    seen = np.concatenate(batches)
    np.testing.assert_allclose(moments.mean, seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, seen.var(0), rtol=1e-4)
    fresh = RunningMoments((4,))
    fresh.load_state_dict(moments.state_dict())
    assert torch.equal(fresh.variance, moments.variance)


def _environments() -> DummyVecEnv:
    return DummyVecEnv([lambda: gymnasium.make("Pendulum-v1", max_episode_steps=30)] * 2)


def test_rewards_are_scaled_as_by_vec_normalize():
    ours = LearnersView(_environments(), RunningMoments(), 0.95, True)
    theirs = VecNormalize(_environments(), norm_obs=False, gamma=0.95)
    generator = np.random.default_rng(0)
    for env in (ours, theirs):
        env.seed(3)
        env.reset()
    for _ in range(100):
        actions = generator.uniform(-2, 2, (2, 1))
        mine, its = ours.step(actions), theirs.step(actions)
        np.testing.assert_allclose(mine[1], its[1], rtol=1e-5)
        np.testing.assert_array_equal(mine[0], its[0])


def test_observations_are_normalised_as_by_vec_normalize():
    features = NormalizedFeatures(spaces.Box(-np.inf, np.inf, (3,)))
    peer = VecNormalize(_environments(), norm_reward=False)
    seen = np.random.default_rng(1).normal(5, [1, 10, 0.01], (50, 3))
    peer.obs_rms.update(seen)
    features.moments.update(seen)
    far = np.concatenate([seen[:5], 100 * seen[:5]]).astype(np.float32)
    ours = features(torch.from_numpy(far)).numpy()
    np.testing.assert_allclose(ours, peer.normalize_obs(far), rtol=1e-4, atol=2e-3)
    assert np.abs(ours).max() == 10


def test_statistics_stand_still_during_a_rollout_and_take_in_all_of_it():
    agent = _normalising()
    moments, seen = agent.policy.features_extractor.moments, []
    agent.learn(128, callback=lambda *_: not seen.append(moments.count.item()))
    assert len(set(seen[:64])) == 1
    assert len(set(seen[64:])) == 1
    assert moments.count.item() == pytest.approx(128)
    observations = agent.rollout_buffer.observations.reshape(-1, 3)  # of the second half
    assert not np.allclose(moments.mean, observations.mean(0), atol=1e-6)


def test_a_saved_agent_takes_raw_observations(tmp_path):
    env = gymnasium.wrappers.TransformObservation(
        gymnasium.make("Pendulum-v1"), lambda observation: 1000 + observation, spaces.Box(-np.inf, np.inf, (3,))
    )
    agent = _normalising(env).learn(256)
    agent.save(tmp_path / "agent")
    loaded = load_agent(tmp_path / "agent", device="cpu")
    observations = 1000 + np.random.default_rng(0).uniform(-1, 1, (20, 3)).astype(np.float32)
    actions = loaded.predict(observations, deterministic=True)[0]
    np.testing.assert_array_equal(actions, agent.predict(observations, deterministic=True)[0])
    assert actions.std() > 1e-4  # without the statistics all of them are the same within rounding


def test_callers_see_the_environment_s_own_rewards():
    agent = _normalising()
    judge = EvalCallback(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")]), eval_freq=256, verbose=0)
    agent.learn(512, callback=judge)
    assert np.abs(agent.rollout_buffer.rewards).max() <= 10
    assert agent.ep_info_buffer[0]["r"] < -200
    assert judge.last_mean_reward < -200
    env = agent.get_env()
    env.reset()
    assert not isinstance(env, LearnersView)
    before = agent.return_moments.count.item()
    env.step(np.zeros((1, 1)))
    assert agent.return_moments.count.item() == before
    agent.set_env(gymnasium.make("Pendulum-v1"))
    agent.learn(64)
    assert agent.return_moments.count.item() > before


class Steady(gymnasium.Env):
    """Reward 1 a step for ever."""

    observation_space = spaces.Box(-1, 1, (2,))
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        return np.zeros(2, np.float32), 1.0, False, False, {}


@pytest.mark.parametrize("bootstrap", [True, False])
def test_time_limits_are_bootstrapped_or_count_as_the_end(bootstrap):
    env = gymnasium.wrappers.TimeLimit(Steady(), 8)
    agent = PPO("MlpPolicy", env, n_steps=32, bootstrap_time_limits=bootstrap, device="cpu", seed=0)
    with torch.no_grad():
        agent.policy.value_net.bias.fill_(50.0)
        agent.policy.value_net.weight.zero_()
    agent.train = lambda: None  # type: ignore[method-assign]
    agent.learn(32)
    rewards = agent.rollout_buffer.rewards[:, 0]
    expected = np.ones(32)
    expected[7::8] += 0.99 * 50 if bootstrap else 0
    np.testing.assert_allclose(rewards, expected, rtol=1e-6)


def test_what_cannot_be_normalised_is_refused():
    with pytest.raises(InvalidParameter, match="normalize=False"):
        _normalising("FrozenLake-v1")


def test_gradients_reach_the_raw_observations():
    """Observation attacks go through the normalisation."""
    agent = _normalising().learn(64)
    observation = torch.zeros(1, 3, requires_grad=True)
    agent.policy.get_distribution(observation).distribution.mean.sum().backward()
    assert observation.grad.abs().max() > 0
