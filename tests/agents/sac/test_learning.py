import gymnasium
import pytest
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from agentgym.agents.sac.sac import SAC


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pendulum_is_swung_up_in_20_000_steps(seed):
    agent = SAC("MlpPolicy", "Pendulum-v1", seed=seed, device="cpu").learn(20_000)
    judge = Monitor(gymnasium.make("Pendulum-v1"))
    judge.reset(seed=1_000)
    mean, _ = evaluate_policy(agent, judge, n_eval_episodes=20, deterministic=True)
    assert mean >= -180
