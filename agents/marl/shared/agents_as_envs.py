"""A wrapper that presents every agent of every joint environment as its own environment, for single-agent learners."""

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from agentgym.agents.marl.layout import Layout
from agentgym.contracts.finite import is_finite
from agentgym.errors import InvalidParameter, NonFinite

__all__ = ["AgentsAsEnvs"]


class AgentsAsEnvs(VecEnvWrapper):
    """N joint environments of A agents as N * A environments; number i * A + k is agent k of world i.

    An agent observes its window. Its reward is its entry of ``info["agent_rewards"]`` (float [A]) if there is one, and
    otherwise the joint reward. Its episode starts and ends with the joint one. Only agent 0 of each joint environment
    gets its ``info``, including a monitor's ``"episode"``, so statistics count every joint episode once.

    Args:
        venv: the joint environments.
        layout: which part of the spaces belongs to which agent.

    Attributes:
        worlds: N.

    Raises:
        NonFinite: an observation or reward is not finite.
        InvalidParameter: ``agent_rewards`` has a length other than A, or only some of the environments give it.
    """

    def __init__(self, venv: VecEnv, layout: Layout) -> None:
        super().__init__(venv, layout.own_observation_space, layout.own_action_space)
        self.layout, self.worlds = layout, venv.num_envs
        self.num_envs = self.worlds * layout.agents
        self.steps = 0

    def reset(self) -> np.ndarray:
        """Start all episodes and return the windows [N * A, F]."""
        observations: Any = self.venv.reset()
        self._require_finite("observations", observations)
        return self.layout.split(observations)

    def step_async(self, actions: np.ndarray) -> None:
        """Start a step with all agents' actions [N * A, a]."""
        self.steps += 1
        self.venv.step_async(self.layout.join(actions))

    def step_wait(self) -> VecEnvStepReturn:
        """Windows [N * A, F], rewards [N * A], dones [N * A] and one info per agent."""
        observations: Any
        observations, rewards, dones, infos = self.venv.step_wait()
        self._require_finite("observations", observations)
        own_rewards = self._own_rewards(rewards, infos)
        self._require_finite("rewards", own_rewards.reshape(self.worlds, -1))
        agents = self.layout.agents
        own_infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        own_infos[::agents] = infos
        for world in np.flatnonzero(dones).tolist():
            self._tell_end(infos[world], own_infos, world * agents)
        return self.layout.split(observations), own_rewards, np.repeat(dones, agents), own_infos

    def _own_rewards(self, rewards: np.ndarray, infos: list[dict[str, Any]]) -> np.ndarray:
        given = [info["agent_rewards"] for info in infos if "agent_rewards" in info]
        if not given:
            return np.repeat(rewards, self.layout.agents)
        if len(given) < self.worlds or any(np.shape(each) != (self.layout.agents,) for each in given):
            raise InvalidParameter(
                f"info['agent_rewards'] must have {self.layout.agents} numbers in every step of every world, or be "
                "absent. With autoreset in the same step, info['final_info'] must hold those of an episode's last step."
            )
        return np.concatenate(given).astype(np.float32)

    def _tell_end(self, info: dict[str, Any], own_infos: list[dict[str, Any]], first: int) -> None:
        """Write the last window of each agent of a finished world, and whether it was truncated, into the infos."""
        last = self.layout.split(info["terminal_observation"][None])
        for agent, window in enumerate(last):
            own_infos[first + agent] = {
                **own_infos[first + agent],
                "terminal_observation": window,
                "TimeLimit.truncated": info.get("TimeLimit.truncated", False),
            }

    def _require_finite(self, what: str, values: np.ndarray) -> None:
        if not is_finite(values):
            bad = [world for world in range(self.worlds) if not is_finite(values[world])]
            entry = tuple(np.argwhere(~np.isfinite(values[bad[0]]))[0].tolist())
            raise NonFinite(
                f"Worlds {bad} gave {what} that are not finite in step {self.steps} of each, the first {entry}: "
                f"{values[bad[0]][entry]}. Fix the environment."
            )
