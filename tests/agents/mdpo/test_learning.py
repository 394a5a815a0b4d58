"""Learning from scratch; the untrained policy, judged alike, must miss the mark by far."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from agentgym.agents.mdpo.config import MDPOConfig, OnPolicyMDPOConfig
from agentgym.agents.mdpo.off_policy import MDPO
from agentgym.agents.mdpo.on_policy import OnPolicyMDPO

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def _mean_return(agent: Any, env: str, deterministic: bool) -> float:
    judge = Monitor(gymnasium.make(env))
    judge.reset(seed=1_000)
    agent.set_random_seed(1_000)
    mean, _ = evaluate_policy(agent, judge, n_eval_episodes=20, deterministic=deterministic)
    return float(np.mean(mean))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_off_policy_swings_pendulum_up_in_10_000_steps(seed):
    config = MDPOConfig(learning_starts=1_000)
    agent = MDPO("MlpPolicy", "Pendulum-v1", seed=seed, device="cpu", **config.to_kwargs())
    agent.learn(10_000)
    assert _mean_return(agent, "Pendulum-v1", deterministic=True) >= -450
    untrained = MDPO("MlpPolicy", "Pendulum-v1", seed=seed, device="cpu", buffer_size=1)
    assert _mean_return(untrained, "Pendulum-v1", deterministic=True) < -900


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("env", "mark"), [("CartPole-v1", 150), ("InvertedPendulum-v5", 30)])
def test_on_policy_balances_poles_in_40_000_steps(env, mark, seed):
    """Samples of the policy are judged: the mode of some untrained policies balances CartPole already."""
    agent = OnPolicyMDPO("MlpPolicy", env, seed=seed, device="cpu", **OnPolicyMDPOConfig().to_kwargs())
    assert _mean_return(agent, env, deterministic=False) < mark / 2
    agent.set_random_seed(seed)
    agent.learn(40_000)
    assert _mean_return(agent, env, deterministic=False) >= mark
