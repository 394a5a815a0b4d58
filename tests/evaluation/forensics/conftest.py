"""A PettingZoo environment that is not the house's, a hand-written team in it, and detectors that learn quickly."""

import functools

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv
from torch import nn

from agentgym.agents.marl.teams.layout import TeamLayout
from agentgym.evaluation.forensics.detectors import by_name
from agentgym.evaluation.forensics.detectors.dynamics import Dynamics
from agentgym.multi_agent import JointEnv

AGENTS, LENGTH, STEP = 3, 15, 0.2
MOVES = torch.tensor([0.0, -STEP, STEP], dtype=torch.float64)


class Meeting(ParallelEnv):
    """Agents on a line that want to meet: each sees its place, its speed and how far the others are."""

    metadata = {"name": "meeting", "render_modes": []}  # noqa: RUF012
    render_mode = None

    def __init__(self):
        self.possible_agents = [f"walker_{k}" for k in range(AGENTS)]

    def observation_space(self, agent):
        return spaces.Box(-np.inf, np.inf, (2 + AGENTS - 1,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(3)

    def reset(self, seed=None, options=None):
        self.random = np.random.default_rng(seed)
        self.agents, self.t = list(self.possible_agents), 0
        self.place, self.speed = self.random.uniform(-2, 2, AGENTS), np.zeros(AGENTS)
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions):
        pushes = np.array([MOVES[int(actions[agent])].item() for agent in self.agents])
        self.speed = 0.5 * self.speed + pushes + self.random.normal(0, 0.01, AGENTS)
        self.place = self.place + self.speed
        self.t += 1
        names, over = self.agents, self.t == LENGTH
        paid = {agent: -float(abs(self.place[k] - self.place.mean())) for k, agent in enumerate(names)}
        seen = self._seen()
        self.agents = [] if over else names
        return seen, paid, dict.fromkeys(names, False), dict.fromkeys(names, over), {agent: {} for agent in names}

    def _seen(self):
        rows = {}
        for k, agent in enumerate(self.possible_agents):
            apart = np.delete(self.place, k) - self.place[k]
            rows[agent] = np.float32([self.place[k], self.speed[k], *apart])
        return rows


class Walkers:
    """A team by the three methods alone: it walks towards the others, and its critic is a small network.

    ``critic_kind`` is an activation of the critic, or None for a team without one.
    """

    gamma = 0.9

    def __init__(self, critic_kind=nn.Tanh):
        env = JointEnv(Meeting(), leaving=True)
        self.layout = TeamLayout(env.observation_space, env.action_space, env.agent_windows, None, None)
        self.network = None
        if critic_kind is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                inputs = AGENTS * (2 + AGENTS - 1 + 3)
                self.network = nn.Sequential(nn.Linear(inputs, 16), critic_kind(), nn.Linear(16, AGENTS)).double()
                self.network.requires_grad_(False)

    def logits(self, windows):
        ahead = 0.5 * windows[..., 2:].double().mean(-1, keepdim=True) - windows[..., 1:2].double()
        return -20.0 * (ahead - MOVES).square()

    def act(self, windows, generator=None):
        return nn.functional.one_hot(self.logits(windows).argmax(-1), 3).float()

    def log_probs(self, windows, actions):
        return (torch.log_softmax(self.logits(windows), -1) * actions).sum(-1)

    def critic(self, windows, actions, alive):
        if self.network is None:
            return None
        return self.network(torch.cat([windows.flatten(1), actions.flatten(1)], -1))


@pytest.fixture(scope="session")
def meeting():
    """The id of the environment."""
    name = "Meeting-v0"
    if name not in gym.registry:
        gym.register(name, entry_point=lambda: JointEnv(Meeting(), leaving=True))
    return name


@pytest.fixture
def quick(monkeypatch):
    """Detectors whose models learn for 150 steps."""
    monkeypatch.setattr(by_name, "Dynamics", functools.partial(Dynamics, steps=150, batch_size=256))


@pytest.fixture(scope="session")
def walkers():
    """The class of hand-written teams."""
    return Walkers
