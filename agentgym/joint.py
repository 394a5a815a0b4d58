"""Several agents as one: a PettingZoo environment as a Gymnasium environment on joint spaces."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from agentgym.errors import InvalidAction, InvalidParameter

__all__ = ["JointEnv"]


class JointEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """A PettingZoo ``ParallelEnv`` whose agents are always the same A, as one environment.

    Observation and action hold the agents' own, stacked in the order of ``possible_agents``; the reward is their mean.
    It ends when all agents end: truncated if any of them was cut off, terminated otherwise.

    Args:
        parallel_env: its agents have equal Box spaces, and all stay until the end.

    Attributes:
        observation_space, action_space: Box [A, ...].
        agent_windows: int64 [A, F]; the entries of the flattened observation that are agent k's.
        agent_mirror: that of ``parallel_env``, where it has one: indices and signs of an agent's own observation.

    ``info["agent_rewards"]`` after a step: float64 [A].

    Raises:
        InvalidParameter: there is no agent, spaces differ or are no Boxes (on construction), or agents are missing
            before the end (in ``reset`` and ``step``); the message names them.
    """

    def __init__(self, parallel_env: ParallelEnv) -> None:
        self.parallel_env = parallel_env
        self.agents = list(parallel_env.possible_agents)
        if not self.agents:
            raise InvalidParameter(f"{parallel_env} has no agents.")
        self.observation_space = self._stacked("observation", parallel_env.observation_space)
        self.action_space = self._stacked("action", parallel_env.action_space)
        size = int(np.prod(self.observation_space.shape))
        self.agent_windows = np.arange(size, dtype=np.int64).reshape(len(self.agents), -1)
        if hasattr(parallel_env, "agent_mirror"):
            self.agent_mirror = parallel_env.agent_mirror
        self.metadata = dict(getattr(parallel_env, "metadata", {}))
        self.render_mode = getattr(parallel_env, "render_mode", None)

    def _stacked(self, what: str, space_of: Any) -> spaces.Box:
        first = space_of(self.agents[0])
        if not isinstance(first, spaces.Box):
            raise InvalidParameter(f"Agent {self.agents[0]!r} has the {what} space {first}; only a Box can be stacked.")
        if others := [agent for agent in self.agents if space_of(agent) != first]:
            raise InvalidParameter(
                f"Agents {others} have other {what} spaces than {self.agents[0]!r}. Make them equal, in a wrapper."
            )
        low, high = (np.stack([end] * len(self.agents)) for end in (first.low, first.high))
        return spaces.Box(low, high, dtype=first.dtype.type)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; ``seed`` and ``options`` are the environment's."""
        super().reset(seed=seed)
        observations, _ = self.parallel_env.reset(seed=seed, options=options)
        self._require_all(observations)
        return self._joint(observations), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step of all agents; ``action`` [A, ...].

        Raises:
            InvalidAction: another shape, or entries that are not finite.
            InvalidParameter: some agents ended and others did not.
        """
        if np.shape(action) != self.action_space.shape or not np.isfinite(action).all():
            raise InvalidAction(f"A joint action is {self.action_space.shape} finite numbers, not {action!r}.")
        found = self.parallel_env.step(dict(zip(self.agents, action, strict=True)))
        observations, rewards, terminations, truncations, _ = found
        self._require_all(observations)
        own_rewards = np.array([rewards[agent] for agent in self.agents], dtype=np.float64)
        ended = [bool(terminations[agent] or truncations[agent]) for agent in self.agents]
        over = all(ended)
        if any(ended) and not over:
            self._refuse([agent for agent, gone in zip(self.agents, ended, strict=True) if gone])
        cut = over and any(truncations[agent] and not terminations[agent] for agent in self.agents)
        info = {"agent_rewards": own_rewards}
        return self._joint(observations), float(own_rewards.mean()), over and not cut, cut, info

    def _joint(self, observations: dict[Any, np.ndarray]) -> np.ndarray:
        return np.stack([observations[agent] for agent in self.agents]).astype(self.observation_space.dtype, copy=False)

    def _require_all(self, observations: dict[Any, np.ndarray]) -> None:
        if missing := [agent for agent in self.agents if agent not in observations]:
            self._refuse(missing)

    def _refuse(self, agents: list[Any]) -> None:
        raise InvalidParameter(
            f"Agents {agents} left before the others. JointEnv takes environments whose agents all stay until the end: "
            "keep them in the game, with zero reward, in a wrapper."
        )

    def render(self) -> Any:
        """What the environment draws."""
        return self.parallel_env.render()

    def close(self) -> None:
        """Close the environment."""
        self.parallel_env.close()
