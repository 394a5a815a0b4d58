"""The multi-agent door: a PettingZoo agent for every heater."""

from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from agentgym.envs.convection.env import ConvectionEnv
from agentgym.errors import InvalidAction
from agentgym.resets import known_options

__all__ = ["ConvectionParallelEnv"]

Observations = dict[str, NDArray[np.float32]]


class ConvectionParallelEnv(ParallelEnv[str, NDArray[np.float32], NDArray[np.float32]]):
    """:class:`agentgym.envs.convection.env.ConvectionEnv`, whose manual holds here too, with an agent a heater.

    Agent ``heater_k`` sees its window [F] of the observation, itself in the middle, and acts with one number from -1 to
    1. Its reward is its entry of ``agent_rewards``. All agents end together.

    Args:
        settings: those of the single environment.

    Attributes:
        agent_mirror: where each entry of an agent's observation stands in the mirrored world, and with which sign.
    """

    metadata: ClassVar[dict[str, Any]] = {**ConvectionEnv.metadata, "name": "convection_v0", "is_parallelizable": True}

    def __init__(self, **settings: Any) -> None:
        self.env = ConvectionEnv(**settings)
        self.render_mode = self.env.render_mode
        self.possible_agents = [f"heater_{index}" for index in range(self.env.cell.heaters)]
        self.agents: list[str] = []
        self.agent_mirror = self.env.agent_mirror
        seen = Box(-np.inf, np.inf, (self.env.agent_windows.shape[1],), np.float32)
        self.observation_spaces = dict.fromkeys(self.possible_agents, seen)
        self.action_spaces = {agent: Box(-1.0, 1.0, (1,), np.float32) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> Box:
        """Box [F], the same for all."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Box:
        """Box [1]."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, dict[str, Any]]]:
        """Start an episode; ``options`` as the single environment's, but an unknown one is only warned of.

        Raises:
            UnknownId: there is no start of that name.
        """
        known = known_options(type(self).__name__, options, self.env.batch.reset_options)
        observation, _ = self.env.reset(seed=seed, options=known)
        self.agents = list(self.possible_agents)
        return self._seen(observation), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[
        Observations, dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
    ]:  # fmt: skip
        """Hold every agent's action [1] for one action time.

        Raises:
            InvalidAction: an agent's action is missing, or not a number from -1 to 1.
        """
        if missing := [agent for agent in self.agents if agent not in actions]:
            raise InvalidAction(f"There is no action for {', '.join(missing)}: give one for every agent in env.agents.")
        try:
            told = np.concatenate([np.asarray(actions[agent], np.float64).reshape(1) for agent in self.agents])
        except (TypeError, ValueError) as error:
            raise InvalidAction(f"Every agent's action is one number, not as here: {error}.") from error
        for agent, command in zip(self.agents, told.tolist(), strict=True):
            if not abs(command) <= 1.0 + 1e-6:  # also NaN
                raise InvalidAction(f"The action of {agent} is {command}; heaters take numbers from -1 to 1.")
        observation, _, _, truncated, info = self.env.step(told)
        agents = self.agents
        rewards = dict(zip(agents, info["agent_rewards"].tolist(), strict=True))
        shared: dict[str, Any] = {name: info[name] for name in ("nusselt", "roll_pairs", "measures") if name in info}
        if truncated:
            self.agents = []
        return (
            self._seen(observation), rewards, dict.fromkeys(agents, False), dict.fromkeys(agents, truncated),
            {agent: dict(shared) for agent in agents},
        )  # fmt: skip

    def _seen(self, observation: NDArray[np.float32]) -> Observations:
        return dict(zip(self.possible_agents, observation.reshape(-1)[self.env.agent_windows], strict=True))

    def render(self) -> NDArray[np.uint8] | None:
        """The cell's picture, uint8 [height, width, 3]."""
        return self.env.render()

    def close(self) -> None:
        """Nothing to close."""
        self.env.close()
