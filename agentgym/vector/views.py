"""Views of a native batch of one: a Gymnasium ``Env``, and a PettingZoo ``ParallelEnv`` of its agents."""

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from agentgym.errors import InvalidAction, InvalidParameter, ResetNeeded
from agentgym.vector.actions import SLACK
from agentgym.vector.infos import split_infos
from agentgym.vector.native import NativeVectorEnv
from agentgym.vector.resets import check_options, known_options, seed_of_one

__all__ = ["NativeEnv", "NativeParallelEnv"]


class NativeEnv(gymnasium.Env[Any, Any]):
    """A batch of one as a single environment. Subclasses provide the constructor and the documentation.

    Args:
        batch: a batch of one sub-environment with autoreset disabled.

    Raises:
        InvalidParameter: the batch has several sub-environments, or autoreset is enabled.
    """

    def __init__(self, batch: NativeVectorEnv) -> None:
        _require_one(batch)
        self.batch, self.render_mode = batch, batch.render_mode
        self.observation_space, self.action_space = batch.single_observation_space, batch.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode.

        Raises:
            UnknownId: there is no such option.
            InvalidParameter: the value of an option or the seed is invalid.
        """
        seed = seed_of_one(seed)
        check_options(type(self).__name__, options, self.batch.reset_options)
        super().reset(seed=seed)
        observations, infos = self.batch.reset(seed=seed, options=options)
        return _of_one(observations), split_infos(infos, 1)[0]

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment.

        Raises:
            InvalidAction: the action is not in the action space.
            ResetNeeded: the environment was never reset, or the episode is over.
        """
        observations, rewards, terminated, truncated, infos = self.batch.step(self._as_batch(action))
        info = split_infos(infos, 1)[0]
        return _of_one(observations), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), info

    def _as_batch(self, action: Any) -> Any:
        """The action as the batch takes it. Override to report invalid actions of a single environment."""
        return np.asarray(action)[None]

    def render(self) -> Any:
        """Render the environment; None without a render mode."""
        frames = self.batch.render()
        return None if frames is None else frames[0]

    def get_state(self) -> dict[str, Any]:
        """The complete state as nested dictionaries of arrays and plain JSON values."""
        return self.batch.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore a state from :meth:`get_state`, also of another environment made with the same arguments."""
        self.batch.set_state(state)

    def close(self) -> None:
        """Close the environment."""
        self.batch.close()


class NativeParallelEnv(ParallelEnv[str, Any, Any]):
    """The agents of a batch of one as a PettingZoo environment.

    Agent k observes the entries ``windows[k]`` of the flattened observation, and its action is row k of the joint
    action. The info of the environment may hold values per agent: ``agent_rewards`` [A] are the rewards (by default,
    every agent gets the reward of the environment); ``agent_terminated``, bool [A], terminates single agents; any other
    key ``agent_NAME`` [A, ...] becomes NAME in the info of each agent. All other infos go to every agent. The actions
    of agents that have left are zero. :meth:`state` is the flattened observation of the environment.

    Args:
        batch: a batch of one with autoreset disabled, whose observation space is a Box and whose action space is a Box
            [A] or [A, a], or MultiDiscrete [A].
        agents: names of the A agents.
        windows: int64 [A, F], or one index array per agent if they differ in length.

    Raises:
        InvalidParameter: the batch has several sub-environments, autoreset is enabled, or agents, windows and spaces do
            not match.
    """

    def __init__(
        self, batch: NativeVectorEnv, agents: Sequence[str], windows: NDArray[np.int64] | Sequence[NDArray[np.int64]]
    ) -> None:
        _require_one(batch)
        observed: Any = batch.single_observation_space
        acted: Any = batch.single_action_space
        fits = isinstance(observed, spaces.Box) and isinstance(acted, spaces.Box | spaces.MultiDiscrete)
        if not fits or len(windows) != len(agents) or acted.shape[:1] != (len(agents),):
            raise InvalidParameter(
                f"{len(agents)} agents need as many windows into a Box and rows of actions, not {len(windows)} windows "
                f"into {observed} and the actions {acted}."
            )
        self.batch, self.render_mode, self.windows = batch, batch.render_mode, windows
        self.possible_agents, self.agents = list(agents), list[str]()
        self.observation_spaces = {
            agent: spaces.Box(
                *(end.reshape(-1)[window] for end in (observed.low, observed.high)), dtype=observed.dtype.type
            )
            for agent, window in zip(agents, windows, strict=True)
        }
        self.action_spaces = {agent: _row_space(acted, k) for k, agent in enumerate(agents)}
        self.state_space = spaces.flatten_space(observed)
        self._low, self._high = _ends(acted)
        self._state = np.zeros(self.state_space.shape or (), observed.dtype)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Observation space of an agent, a Box [F]."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Action space of an agent: Box [a] (or [1] if the joint action is [A]), or Discrete."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start an episode. Unknown options cause a warning only.

        Raises:
            UnknownId, InvalidParameter: the value of an option or the seed is invalid.
        """
        known = known_options(type(self).__name__, options, self.batch.reset_options)
        observations, infos = self.batch.reset(seed=seed_of_one(seed), options=known)
        self.agents = list(self.possible_agents)
        self._state = observations[0].reshape(-1)
        return self._agent_observations(), self._agent_infos(split_infos(infos, 1)[0])

    def step(self, actions: dict[str, Any]) -> tuple[
        dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
    ]:  # fmt: skip
        """Step the environment with one action for every agent in ``agents``.

        Raises:
            ResetNeeded: the environment was never reset, or all agents have left.
            InvalidAction: the action of an agent is missing or not in its action space.
        """
        if not self.agents:
            raise ResetNeeded("No agent has an episode: call reset() first.")
        observations, joint_rewards, terminated, truncated, infos = self.batch.step(self._joined(actions)[None])
        self._state = observations[0].reshape(-1)
        info, count = split_infos(infos, 1)[0], len(self.possible_agents)
        rewards = self._by_agent(info.pop("agent_rewards", np.full(count, joint_rewards[0])).tolist())
        left = info.pop("agent_terminated", np.zeros(count, bool)) | terminated[0]
        terminations, truncations = self._by_agent(left.tolist()), dict.fromkeys(self.agents, bool(truncated[0]))
        result = self._agent_observations(), rewards, terminations, truncations, self._agent_infos(info)
        self.agents = [agent for agent in self.agents if not (terminations[agent] or truncations[agent])]
        return result

    def state(self) -> NDArray[Any]:
        """The flattened observation of the environment."""
        return self._state.copy()

    def _joined(self, actions: dict[str, Any]) -> NDArray[Any]:
        """The joint action, [A] or [A, a]."""
        if missing := [agent for agent in self.agents if agent not in actions]:
            raise InvalidAction(f"There is no action for {', '.join(missing)}: give one for every agent in env.agents.")
        joined, living = np.zeros(self._low.shape, self._low.dtype), set(self.agents)
        for k, agent in enumerate(self.possible_agents):
            if agent in living:
                joined[k] = _row(agent, actions[agent], joined[k])
        within = (self._low <= joined) & (joined <= self._high) & np.isfinite(joined)
        for k in np.flatnonzero(~within.reshape(len(within), -1).all(1)).tolist():
            if (agent := self.possible_agents[k]) in living:
                raise InvalidAction(
                    f"The action of {agent} is {actions[agent]}, which is not in {self.action_spaces[agent]}."
                )
        return joined

    def _by_agent(self, values: Iterable[Any]) -> dict[str, Any]:
        """Select the values, [A], of the agents that have not left."""
        living = set(self.agents)
        return {agent: value for agent, value in zip(self.possible_agents, values, strict=True) if agent in living}

    def _agent_observations(self) -> dict[str, Any]:
        if isinstance(self.windows, np.ndarray):
            return self._by_agent(self._state[self.windows])
        return self._by_agent([self._state[window] for window in self.windows])

    def _agent_infos(self, info: dict[str, Any]) -> dict[str, dict[str, Any]]:
        own = {name.removeprefix("agent_"): info.pop(name) for name in list(info) if name.startswith("agent_")}
        rows = [{**info, **{name: each[k] for name, each in own.items()}} for k in range(len(self.possible_agents))]
        return self._by_agent(rows)

    def render(self) -> Any:
        """Render the environment; None without a render mode."""
        frames = self.batch.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Close the environment."""
        self.batch.close()


def _require_one(batch: NativeVectorEnv) -> None:
    if batch.num_envs != 1 or batch.autoreset_mode is not AutoresetMode.DISABLED:
        raise InvalidParameter(
            f"A single environment needs a batch of one with autoreset disabled, not of {batch.num_envs} with "
            f"{batch.autoreset_mode}."
        )


def _of_one(observations: Any) -> Any:
    if isinstance(observations, dict):
        return {name: part[0] for name, part in observations.items()}
    return observations[0]


def _row_space(space: spaces.Space[Any], k: int) -> spaces.Space[Any]:
    if isinstance(space, spaces.MultiDiscrete):
        return spaces.Discrete(int(space.nvec[k]), start=int(space.start[k]))
    assert isinstance(space, spaces.Box)
    return spaces.Box(space.low[k].reshape(-1), space.high[k].reshape(-1), dtype=space.dtype.type)


def _ends(space: spaces.Space[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lowest and highest actions, as float64 for a Box."""
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    assert isinstance(space, spaces.Box)
    return space.low.astype(np.float64) - SLACK, space.high.astype(np.float64) + SLACK


def _row(agent: str, action: Any, like: Any) -> Any:
    given = np.asarray(action)
    kinds = "iub" if np.issubdtype(like.dtype, np.integer) else "fiub"
    if given.dtype.kind not in kinds or given.size != np.size(like):
        raise InvalidAction(f"The action of {agent} must be {np.size(like)} numbers, not {action!r}.")
    return given.reshape(np.shape(like))
