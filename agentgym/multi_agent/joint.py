"""A PettingZoo environment as a Gymnasium environment with joint observations and actions."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from agentgym.contracts.environment import Drawn, Mirrored
from agentgym.errors import InvalidAction, InvalidParameter, ResetNeeded
from agentgym.multi_agent.groups import group_agents
from agentgym.multi_agent.world import Seen, World

__all__ = ["JointEnv"]


class JointEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """A PettingZoo ``ParallelEnv`` with A agents as a single Gymnasium environment.

    Observations and actions are stacked in the order of ``possible_agents``; the reward is the mean over agents. An
    episode ends when all agents end: truncated if any agent was truncated, otherwise terminated. After a step,
    ``info["agent_rewards"]`` is float64 [A], and ``info["agent_infos"]`` holds the info of each agent by id if any is
    not empty. With ``leaving``, agents that have left see zeros, their actions are ignored, their rewards are 0, and
    ``info["agent_terminated"]`` and ``info["agent_truncated"]``, bool [A], say who has left so far and how.

    Args:
        parallel_env: an environment whose agents have equal spaces: Box observations, and Box or Discrete actions.
        leaving: whether agents may leave before the end.

    Attributes:
        observation_space, action_space: Box [A, ...]; MultiDiscrete [A] for Discrete actions.
        agent_windows: indices of each agent's entries in the flattened observation, int64 [A, F].
        agent_mirror: that of ``parallel_env``, if it has one: indices and signs that mirror an agent's observation.

    Raises:
        InvalidParameter: there is no agent, or spaces differ or cannot be stacked (in the constructor); or agents leave
            before the end without ``leaving`` (in ``reset`` and ``step``).
    """

    def __init__(self, parallel_env: ParallelEnv, leaving: bool = False) -> None:
        groups = group_agents(parallel_env)
        self.parallel_env, self.leaving = parallel_env, leaving
        self.agents = list(parallel_env.possible_agents)
        self._group = next(group for group in groups.values() if self.agents[0] in group.agents)
        if others := [agent for agent in self.agents if agent not in self._group.agents]:
            raise InvalidParameter(
                f"Agents {others} have other spaces than {self.agents[0]!r}. Make them equal with a wrapper, or use "
                "agentgym.multi_agent.ParallelEnvBatch, which supports groups."
            )
        self.observation_space: Any = self._stacked("observation", self._group.observation_space)
        acted = self._group.action_space
        self.action_space: Any = (
            self._choices(acted) if isinstance(acted, spaces.Discrete) else self._stacked("action", acted)
        )
        self._world = World(parallel_env, groups)
        self._terminated, self._truncated = (np.zeros(len(self.agents), bool) for _ in range(2))
        size = int(np.prod(self.observation_space.shape))
        self.agent_windows = np.arange(size, dtype=np.int64).reshape(len(self.agents), -1)
        if isinstance(parallel_env, Mirrored):
            self.agent_mirror = parallel_env.agent_mirror
        if isinstance(parallel_env, Drawn):
            self.metadata, self.render_mode = dict(parallel_env.metadata), parallel_env.render_mode

    def _choices(self, space: spaces.Discrete) -> spaces.MultiDiscrete:
        count = len(self.agents)
        return spaces.MultiDiscrete([int(space.n)] * count, start=[int(space.start)] * count)

    def _stacked(self, what: str, space: spaces.Space[Any]) -> spaces.Box:
        if not isinstance(space, spaces.Box):
            raise InvalidParameter(f"Agent {self.agents[0]!r} has the {what} space {space}; only a Box can be stacked.")
        low, high = (np.stack([end] * len(self.agents)) for end in (space.low, space.high))
        return spaces.Box(low, high, dtype=space.dtype.type)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; ``seed`` and ``options`` are passed to the environment."""
        super().reset(seed=seed)
        self._world.begin(seed, options)
        self._terminated, self._truncated = (np.zeros(len(self.agents), bool) for _ in range(2))
        return self._joint(self._world.current), self._infos(self._world.current)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Step all agents with a joint action [A, ...].

        Raises:
            InvalidAction: the shape is wrong, or an entry is not finite.
            ResetNeeded: the environment was never reset, or the episode is over.
            InvalidParameter: some agents ended and others did not.
        """
        if np.shape(action) != self.action_space.shape or not np.isfinite(action).all():
            raise InvalidAction(f"A joint action must be finite, of shape {self.action_space.shape}, not {action!r}.")
        if not self._world.alive.any():
            raise ResetNeeded("No agent has an episode: call reset() first.")
        step = self._world.step({self._group.name: np.asarray(action)})
        self._terminated = self._terminated | step.terminated
        self._truncated = self._truncated | (step.truncated & ~step.terminated)
        observation, ended = self._joint(step.reached), self._terminated | self._truncated
        over = bool(ended.all())
        if not self.leaving:
            self._require_none(ended & (not over))
        cut = over and bool(self._truncated.any())
        info = {"agent_rewards": step.rewards, **self._infos(step.reached)}
        if self.leaving:
            info |= {"agent_terminated": self._terminated, "agent_truncated": self._truncated}
        return observation, float(step.rewards.mean()), over and not cut, cut, info

    def _joint(self, seen: Seen) -> np.ndarray:
        shown = [each for each in seen.observations if each is not None]
        if len(shown) < len(self.agents):
            if not self.leaving:
                self._require_none(np.array([each is None for each in seen.observations]))
            nothing = np.zeros(self.observation_space.shape[1:], self.observation_space.dtype)
            shown = [nothing if each is None else each for each in seen.observations]
        return np.stack(shown)

    def _infos(self, seen: Seen) -> dict[str, Any]:
        return {"agent_infos": seen.infos} if any(seen.infos.values()) else {}

    def _require_none(self, gone: np.ndarray) -> None:
        if gone.any():
            raise InvalidParameter(
                f"Agents {[self.agents[k] for k in np.flatnonzero(gone)]} left before the others. JointEnv needs "
                "agents that stay until the end: give it leaving=True, keep them in the game with zero reward, in a "
                "wrapper, or use agentgym.multi_agent.ParallelEnvBatch."
            )

    def render(self) -> Any:
        """Render the environment."""
        return self.parallel_env.render()

    def close(self) -> None:
        """Close the environment."""
        self.parallel_env.close()
