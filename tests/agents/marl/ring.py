"""A joint environment small enough to be learned in seconds: unstable neighbours on a ring; three doors to it.

Agent k holds x_k near 0 against growth: x_k += 0.1 (3 x_k + (x_(k-1) - 2 x_k + x_(k+1)) / 2 + 4 a_k) + noise.
It sees x and the slope (x_(k+1) - x_(k-1)) / 2 at itself and its neighbours. A world ends when an |x_k| passes 1.5.
"""

from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from pettingzoo import ParallelEnv

from agentgym.seeding import restore, state_of
from agentgym.vector.resets import world_seeds

AGENTS = 5
NEIGHBOURS = (np.arange(AGENTS)[:, None] + np.arange(-1, 2)) % AGENTS
WINDOWS = np.concatenate([NEIGHBOURS, AGENTS + NEIGHBOURS], axis=1)
MIRROR = (np.array([2, 1, 0, 5, 4, 3]), np.array([1, 1, 1, -1, -1, -1], np.float32))


def start(generator):
    return generator.uniform(-0.8, 0.8, AGENTS)


def advance(x, actions, generator):
    diffusion = 0.5 * (np.roll(x, 1) - 2 * x + np.roll(x, -1))
    return x + 0.1 * (3 * x + diffusion + 4 * actions) + generator.normal(0, 0.01, AGENTS)


def observe(x):
    slope = 0.5 * (np.roll(x, -1, axis=-1) - np.roll(x, 1, axis=-1))
    return np.stack([x, slope], axis=-2).astype(np.float32)


class RingEnv(gymnasium.Env):
    agent_windows = WINDOWS
    agent_mirror = MIRROR

    def __init__(self, agent_rewards=True):
        self.observation_space = spaces.Box(-10, 10, (2, AGENTS))
        self.action_space = spaces.Box(-1, 1, (AGENTS,))
        self.agent_rewards = agent_rewards

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = start(self.np_random)
        return observe(self.x), {}

    def step(self, action):
        self.x = advance(self.x, action, self.np_random)
        own = 1 - self.x**2
        info = {"agent_rewards": own} if self.agent_rewards else {}
        return observe(self.x), float(own.mean()), bool((abs(self.x) > 1.5).any()), False, info


class RingVectorEnv(VectorEnv):
    agent_windows = WINDOWS
    agent_mirror = MIRROR

    def __init__(self, num_envs=1, max_episode_steps=20, autoreset_mode=AutoresetMode.NEXT_STEP, agent_rewards=True):
        self.num_envs, self.limit, self.agent_rewards = num_envs, max_episode_steps, agent_rewards
        assert autoreset_mode == AutoresetMode.SAME_STEP
        self.metadata = {"autoreset_mode": autoreset_mode}
        self.single_observation_space = spaces.Box(-10, 10, (2, AGENTS))
        self.single_action_space = spaces.Box(-1, 1, (AGENTS,))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.generators = [np.random.default_rng() for _ in range(num_envs)]
        self.x, self.elapsed = np.zeros((num_envs, AGENTS)), np.zeros(num_envs, int)

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            seeds = world_seeds(seed, self.num_envs)
            self.generators = [np.random.default_rng(np.random.SeedSequence(each)) for each in seeds]
        self.x = np.stack([start(generator) for generator in self.generators])
        self.elapsed[:] = 0
        return observe(self.x), {}

    def step(self, actions):
        self.x = np.stack([advance(*each) for each in zip(self.x, actions, self.generators, strict=True)])
        self.elapsed += 1
        own = 1 - self.x**2
        infos = {"agent_rewards": own} if self.agent_rewards else {}
        terminated, truncated = (abs(self.x) > 1.5).any(1), self.elapsed >= self.limit
        over, last = terminated | truncated, observe(self.x)
        if over.any():
            infos |= {"final_obs": last, "_final_obs": over, "final_info": dict(infos), "_final_info": over}
            for world in np.flatnonzero(over):
                self.x[world], self.elapsed[world] = start(self.generators[world]), 0
        return observe(self.x), own.mean(1), terminated, truncated, infos

    def get_state(self):
        return {"x": self.x.copy(), "elapsed": self.elapsed.copy(), "random": [state_of(g) for g in self.generators]}

    def set_state(self, state):
        self.x, self.elapsed = state["x"].copy(), state["elapsed"].copy()
        for generator, found in zip(self.generators, state["random"], strict=True):
            restore(generator, found)


class RingParallelEnv(ParallelEnv):
    metadata: ClassVar = {"name": "ring"}

    def __init__(self, leaves=None, limit=20):
        self.possible_agents = [f"node {k}" for k in range(AGENTS)]
        self.leaves, self.limit = leaves, limit
        self.agents = []
        self.spaces = {agent: (spaces.Box(-10, 10, (6,)), spaces.Box(-1, 1, (1,))) for agent in self.possible_agents}

    def observation_space(self, agent):
        return self.spaces[agent][0]

    def action_space(self, agent):
        return self.spaces[agent][1]

    def reset(self, seed=None, options=None):
        if seed is not None or not self.agents:
            self.generator = np.random.default_rng(seed)
        self.agents, self.elapsed = list(self.possible_agents), 0
        self.x = start(self.generator)
        return self._each(self._windows()), self._each([{}] * AGENTS)

    def _windows(self):
        return observe(self.x).reshape(-1)[WINDOWS]

    def _each(self, values):
        return dict(zip(self.possible_agents, values, strict=True))

    def step(self, actions):
        u = np.concatenate([actions[agent] for agent in self.possible_agents])
        self.x = advance(self.x, u, self.generator)
        self.elapsed += 1
        ended, cut = bool((abs(self.x) > 1.5).any()), self.elapsed >= self.limit
        terminations, truncations = self._each([ended] * AGENTS), self._each([cut] * AGENTS)
        if self.leaves is not None:
            terminations[self.leaves] = True
        rewards = self._each((1 - self.x**2).tolist())
        return self._each(self._windows()), rewards, terminations, truncations, self._each([{}] * AGENTS)


def register():
    for name, kwargs in (("Ring-v0", {}), ("RingOneReward-v0", {"agent_rewards": False})):
        if f"tests/{name}" not in gymnasium.registry:
            gymnasium.register(
                f"tests/{name}", entry_point=RingEnv, vector_entry_point=RingVectorEnv,
                max_episode_steps=20, kwargs=kwargs,
            )  # fmt: skip
