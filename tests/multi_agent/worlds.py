"""A world of four agents with three kinds of spaces, that leave when they are told to."""

from typing import ClassVar

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

SPACES = {
    "red_0": (spaces.Box(-10, 10, (3,)), spaces.Discrete(4, start=1)),
    "blue_0": (spaces.Box(-10, 10, (2, 2)), spaces.Box(-1, 1, (2,))),
    "red_1": (spaces.Box(-10, 10, (3,)), spaces.Discrete(4, start=1)),
    "scout": (spaces.Discrete(5), spaces.MultiDiscrete([2, 3])),
}


class LeavingEnv(ParallelEnv):
    """Agents take noisy steps by their actions, and leave by ``leaves``: step and "terminated", "truncated" or "both".

    What an agent sees and gets depends on what those that are alive do, and on the seed. With ``junk`` the dead go on
    getting entries: NaN, infinity and ends that are none.
    """

    metadata: ClassVar = {"name": "leaving"}

    def __init__(self, leaves=None, junk=False, gives_state=True, late=()):
        self.possible_agents = list(SPACES)
        self.leaves = leaves or dict.fromkeys(SPACES, (3, "terminated"))
        self.junk, self.gives_state, self.late = junk, gives_state, late
        self.agents, self.given = [], []

    def observation_space(self, agent):
        return SPACES[agent][0]

    def action_space(self, agent):
        return SPACES[agent][1]

    def reset(self, seed=None, options=None):
        self.generator = np.random.default_rng(seed)
        self.t, self.agents = 0, [agent for agent in self.possible_agents if agent not in self.late]
        self.x = self.generator.normal(size=4)
        return self._observed(self.agents), {agent: {"t": 0} for agent in self.agents}

    def state(self):
        if not self.gives_state:
            return super().state()
        return np.concatenate([self.x, [self.t]]).reshape(1, -1)

    def step(self, actions):
        assert set(actions) == set(self.agents)
        assert all(SPACES[agent][1].contains(action) for agent, action in actions.items()), actions
        self.given.append(actions)
        acting, dead = list(self.agents), [agent for agent in self.possible_agents if agent not in self.agents]
        self.t += 1
        for agent, action in actions.items():
            k = self.possible_agents.index(agent)
            self.x[k] = 0.5 * self.x[k] + 0.1 * np.sum(action) + 0.1 * self.x.mean()
        self.x += self.generator.normal(0, 0.1, 4)
        ends = {agent: self.leaves[agent][1] if self.leaves[agent][0] == self.t else "" for agent in acting}
        terminations = {agent: end in ("terminated", "both") for agent, end in ends.items()}
        truncations = {agent: end in ("truncated", "both") for agent, end in ends.items()}
        joining = [agent for agent in self.late if self.t == 1]
        self.agents = [agent for agent in self.possible_agents if not ends.get(agent, agent not in joining)]
        rewards = {agent: float(self.x[self.possible_agents.index(agent)]) for agent in acting}
        infos = {agent: {"t": self.t} for agent in [*acting, *joining]}
        observations = self._observed([*acting, *joining])
        if self.junk:
            for agent in set(dead).difference(joining):
                observations[agent] = np.full(SPACES[agent][0].shape, np.nan)
                rewards[agent] = np.inf
                terminations[agent] = truncations[agent] = bool(self.t % 2)
                infos[agent] = {"junk": self.t}
        return observations, rewards, terminations, truncations, infos

    def _observed(self, agents):
        seen = {}
        for agent in agents:
            x, space = self.x[self.possible_agents.index(agent)], SPACES[agent][0]
            seen[agent] = int(abs(10 * x)) % 5 if agent == "scout" else np.full(space.shape, x, np.float32)
        return seen


def random_actions(batch, generator):
    """Any actions of every group, for dead agents too."""
    actions = {}
    for name, group in batch.groups.items():
        shape = (batch.num_envs, len(group.agents))
        match group.action_space:
            case spaces.Box(low=low, high=high):
                actions[name] = generator.uniform(low, high, (*shape, *low.shape)).astype(np.float32)
            case spaces.Discrete(start=start, n=n):
                actions[name] = generator.integers(start, start + n, shape)
            case spaces.MultiDiscrete(nvec=nvec):
                actions[name] = generator.integers(0, nvec, (*shape, len(nvec)))
    return actions


def equal(one, other):
    """Whether two joint steps or observations are equal bit for bit."""
    for name, value in vars(one).items():
        its = getattr(other, name)
        if hasattr(value, "__dataclass_fields__"):
            if not equal(value, its):
                return False
        elif isinstance(value, dict):
            if set(value) != set(its) or not all(value[key].tobytes() == its[key].tobytes() for key in value):
                return False
        elif isinstance(value, np.ndarray):
            if value.dtype != its.dtype or value.tobytes() != its.tobytes():
                return False
        elif value != its:
            return False
    return True
