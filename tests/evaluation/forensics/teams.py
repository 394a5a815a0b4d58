"""Small teams with the three methods that forensics asks for."""

import numpy as np
import torch
from gymnasium import spaces
from torch.distributions import Normal

from agentgym.agents.marl.teams.layout import TeamLayout
from agentgym.envs.particles.planted import PlantedGameVectorEnv
from agentgym.envs.particles.spread import SimpleSpreadVectorEnv

GAME = "agentgym/PlantedGame-v0"
SPREAD = "agentgym/SimpleSpread-v0"


def layout_of(env):
    return TeamLayout(env.single_observation_space, env.single_action_space, env.agent_windows)


class Softmax:
    """Choices with logits z(o), of any function of windows [B, A, F]."""

    gamma = 0.9

    def __init__(self, logits, agents=2, width=6, choices=4):
        seen = spaces.Box(-np.inf, np.inf, (agents, width), np.float32)
        windows = np.arange(agents * width).reshape(agents, width)
        self.layout = TeamLayout(seen, spaces.MultiDiscrete([choices] * agents), windows)
        self.logits = logits

    def act(self, windows, generator=None):
        return torch.nn.functional.one_hot(self.logits(windows.double()).argmax(-1), self.layout.width).float()

    def log_probs(self, windows, actions):
        return (torch.log_softmax(self.logits(windows), -1) * actions).sum(-1)

    def critic(self, windows, actions, alive):
        return None


class Headed(Softmax):
    """Heads for the landmark of its own number in Simple Spread, with a policy of this sharpness."""

    def __init__(self, sharpness=4.0, agents=3):
        self.layout = layout_of(SimpleSpreadVectorEnv(1, agents))
        self.sharpness, self.agents = sharpness, agents

    def logits(self, windows):
        goals = [windows[:, k, 4 + 2 * k : 6 + 2 * k] for k in range(self.agents)]
        wanted = 2 * torch.stack(goals, 1) - windows[..., :2]
        still = 0.3 * torch.ones_like(wanted[..., :1])
        moves = [still, -wanted[..., :1], wanted[..., :1], -wanted[..., 1:], wanted[..., 1:]]
        return self.sharpness * torch.cat(moves, -1)


class Regulators:
    """The policy of the planted game, as Gaussians around its actions."""

    gamma = 0.9

    def __init__(self, couplings=None):
        env = PlantedGameVectorEnv(1, couplings)
        self.layout, self.game = layout_of(env), env.game

    def mean(self, windows):
        return -self.game.gain * windows / 10.0  # of actions in [-1, 1], bounds are 10

    def act(self, windows, generator=None):
        return self.mean(windows).float()

    def log_probs(self, windows, actions):
        return Normal(self.mean(windows), 0.05).log_prob(actions).sum(-1)

    def critic(self, windows, actions, alive):
        return None
