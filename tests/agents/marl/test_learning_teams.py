"""What teams reach on Simple Spread: at least 0.8 of the controller's gain over random play, three seeds each."""

import numpy as np
import pytest

from agentgym.agents import HATRPO, HATRPOQ, MADDPG
from agentgym.envs.particles.spread import SimpleSpreadVectorEnv

EPISODES = 500


def score(player, agents, continuous):
    """The mean return of greedy play; random play without a player."""
    env = SimpleSpreadVectorEnv(EPISODES, agents, continuous_actions=continuous)
    observations, _ = env.reset(seed=10_000)
    env.action_space.seed(0)
    total = np.zeros(EPISODES)
    for _ in range(25):
        actions = env.action_space.sample() if player is None else player.predict(observations, deterministic=True)[0]
        observations, rewards, *_ = env.step(actions)
        total += rewards
    return total.mean()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("kind", "preset", "agents", "steps", "worlds"),
    [
        (MADDPG, "spread-3", 3, 600_000, 64),
        (MADDPG, "spread-box-3", 3, 600_000, 64),
        (MADDPG, "spread-5", 5, 550_000, 64),
        (HATRPO, "spread-3", 3, 1_300_000, 128),
        (HATRPOQ, "spread-5", 5, 270_000, 32),
    ],
)
def test_a_team_gains_four_fifths_of_what_the_controller_gains(kind, preset, agents, steps, worlds, seed):
    continuous = "box" in preset
    env = SimpleSpreadVectorEnv(worlds, agents, continuous_actions=continuous, autoreset_mode="Disabled")
    team = kind(env=env, preset=preset, seed=seed).learn(steps)
    controller = score(env.controllers["assignment"], agents, continuous)
    random = score(None, agents, continuous)
    gain = (score(team, agents, continuous) - random) / (controller - random)
    assert gain >= 0.8, gain
