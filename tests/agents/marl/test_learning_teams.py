"""What teams reach on Simple Spread, by the settings of studies/teams.toml and its judge's measure."""

import numpy as np
import pytest

from agentgym.agents import HATRPO, MADDPG
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
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("kind", "preset", "agents", "steps", "bound"),
    [
        (MADDPG, "spread-3", 3, 400_000, 0.8),
        (MADDPG, "spread-box-3", 3, 600_000, 0.8),
        (MADDPG, "spread-5", 5, 400_000, 0.75),
        (HATRPO, "spread-3", 3, 1_300_000, 0.8),
    ],
)
def test_a_team_gains_its_share_of_what_the_controller_gains(kind, preset, agents, steps, bound, seed):
    continuous = "box" in preset
    worlds = kind.Config.with_preset(preset, {}).get("worlds", kind.Config().worlds)
    env = SimpleSpreadVectorEnv(worlds, agents, continuous_actions=continuous, autoreset_mode="Disabled")
    team = kind(env=env, preset=preset, seed=seed).learn(steps)
    controller = score(env.controllers["assignment"], agents, continuous)
    random = score(None, agents, continuous)
    gain = (score(team, agents, continuous) - random) / (controller - random)
    assert gain >= bound, gain
