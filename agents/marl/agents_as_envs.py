"""Every agent of every world as an environment of its own, for learners that know of one agent only."""

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

    An agent observes its window and gets its entry of ``info["agent_rewards"]`` (float [A]) or, where there is none,
    the world's reward. Its episode begins and ends with the world's. What a world says in ``info``, the ``"episode"``
    of a monitor included, is in agent 0's alone, so that statistics count worlds once.

    Args:
        venv: the joint environments.
        layout: which part of them is whose.

    Attributes:
        worlds: N.

    Raises:
        NonFinite: a world gave an observation or reward that is not finite.
        InvalidParameter: some worlds give ``agent_rewards`` of one length A and others do not.
    """

    def __init__(self, venv: VecEnv, layout: Layout) -> None:
        super().__init__(venv, layout.own_observation_space, layout.own_action_space)
        self.layout, self.worlds = layout, venv.num_envs
        self.num_envs = self.worlds * layout.agents
        self.steps = 0

    def reset(self) -> np.ndarray:
        """Start all episodes; windows [N * A, F]."""
        observations: Any = self.venv.reset()
        self._require_finite("observations", observations)
        return self.layout.split(observations)

    def step_async(self, actions: np.ndarray) -> None:
        """Take all agents' actions, [N * A, a]."""
        self.steps += 1
        self.venv.step_async(self.layout.join(actions))

    def step_wait(self) -> VecEnvStepReturn:
        """Windows [N * A, F], rewards [N * A], dones [N * A] and infos, one a agent."""
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
                f"info['agent_rewards'] is {self.layout.agents} numbers in every step of every world, or in none. A "
                "batch that restarts in the same step puts those of an episode's end into info['final_info']."
            )
        return np.concatenate(given).astype(np.float32)

    def _tell_end(self, info: dict[str, Any], own_infos: list[dict[str, Any]], first: int) -> None:
        """The last window of each agent of a world that finished, and whether a time limit cut it."""
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
                f"{values[bad[0]][entry]}. Mend the environment."
            )
