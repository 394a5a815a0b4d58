"""A native batch of one world as a Gymnasium ``Env``, and as a PettingZoo ``ParallelEnv`` of the agents in it."""

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
    """A batch of one world as a single environment. A family writes its manual and how it is made.

    Args:
        batch: of one world, with autoreset disabled.

    Raises:
        InvalidParameter: the batch has more worlds, or restarts them.
    """

    def __init__(self, batch: NativeVectorEnv) -> None:
        _require_one(batch)
        self.batch, self.render_mode = batch, batch.render_mode
        self.observation_space, self.action_space = batch.single_observation_space, batch.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode.

        Raises:
            UnknownId: there is no option of that name.
            InvalidParameter: an option's value or the seed is not what it may be.
        """
        seed = seed_of_one(seed)
        check_options(type(self).__name__, options, self.batch.reset_options)
        super().reset(seed=seed)
        observations, infos = self.batch.reset(seed=seed, options=options)
        return _of_one(observations), split_infos(infos, 1)[0]

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the world.

        Raises:
            InvalidAction: it is no action of the action space.
            ResetNeeded: there was no reset yet, or the episode is over.
        """
        observations, rewards, terminated, truncated, infos = self.batch.step(self._as_batch(action))
        info = split_infos(infos, 1)[0]
        return _of_one(observations), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), info

    def _as_batch(self, action: Any) -> Any:
        """The action as the batch takes it; a family refuses wrong ones here where the batch would speak of worlds."""
        return np.asarray(action)[None]

    def render(self) -> Any:
        """What the world looks like; None without a render mode."""
        frames = self.batch.render()
        return None if frames is None else frames[0]

    def get_state(self) -> dict[str, Any]:
        """Everything that the future depends on, as nested dictionaries of arrays and plain JSON values."""
        return self.batch.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` gave, also in another environment made with the same arguments."""
        self.batch.set_state(state)

    def close(self) -> None:
        """Close the world."""
        self.batch.close()


class NativeParallelEnv(ParallelEnv[str, Any, Any]):
    """The agents of a batch of one world, a PettingZoo agent each.

    Agent k sees the entries ``windows[k]`` of the flattened observation and acts with row k of the action. Of the
    world's infos, ``agent_rewards`` [A] are its rewards (the world's where there are none); in ``agent_terminated``,
    bool [A], it says that its part is over, and leaves before the others; further ones named ``agent_...`` [A, ...]
    are each agent's own and stand in its info without that prefix. All other infos are told to every agent. In the
    rows of agents that left the action is zero. :meth:`state` is the flattened observation of the whole world.

    Args:
        batch: of one world, with autoreset disabled. Its observations are a Box, its actions a Box [A] or [A, a], or
            MultiDiscrete [A].
        agents: A names.
        windows: int64 [A, F], or one array of indices an agent where some see more than others.

    Raises:
        InvalidParameter: the batch has more worlds or restarts them, or agents, windows and spaces do not fit together.
    """

    def __init__(
        self, batch: NativeVectorEnv, agents: Sequence[str], windows: NDArray[np.int64] | Sequence[NDArray[np.int64]]
    ) -> None:
        _require_one(batch)
        seen: Any = batch.single_observation_space
        done: Any = batch.single_action_space
        fits = isinstance(seen, spaces.Box) and isinstance(done, spaces.Box | spaces.MultiDiscrete)
        if not fits or len(windows) != len(agents) or done.shape[:1] != (len(agents),):
            raise InvalidParameter(
                f"{len(agents)} agents need as many windows into a Box and rows of actions, not {len(windows)} windows "
                f"into {seen} and the actions {done}."
            )
        self.batch, self.render_mode, self.windows = batch, batch.render_mode, windows
        self.possible_agents, self.agents = list(agents), list[str]()
        self.observation_spaces = {
            agent: spaces.Box(*(end.reshape(-1)[window] for end in (seen.low, seen.high)), dtype=seen.dtype.type)
            for agent, window in zip(agents, windows, strict=True)
        }
        self.action_spaces = {agent: _row_space(done, k) for k, agent in enumerate(agents)}
        self.state_space = spaces.flatten_space(seen)
        self._low, self._high = _ends(done)
        self._state = np.zeros(self.state_space.shape or (), seen.dtype)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """A Box [F]."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """A Box [a], [1] where the world's actions are [A]; or Discrete."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start an episode. An unknown option is only warned of.

        Raises:
            UnknownId, InvalidParameter: an option's value or the seed is not what it may be.
        """
        known = known_options(type(self).__name__, options, self.batch.reset_options)
        observations, infos = self.batch.reset(seed=seed_of_one(seed), options=known)
        self.agents = list(self.possible_agents)
        self._state = observations[0].reshape(-1)
        return self._seen(), self._told(split_infos(infos, 1)[0])

    def step(self, actions: dict[str, Any]) -> tuple[
        dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
    ]:  # fmt: skip
        """Step the world; one action for every agent in ``agents``.

        Raises:
            ResetNeeded: there was no reset yet, or all agents have left.
            InvalidAction: an agent's action is missing, or not one of its space.
        """
        if not self.agents:
            raise ResetNeeded("No agent has an episode: call reset() first.")
        observations, paid, terminated, truncated, infos = self.batch.step(self._joined(actions)[None])
        self._state = observations[0].reshape(-1)
        info, count = split_infos(infos, 1)[0], len(self.possible_agents)
        rewards = self._by_agent(info.pop("agent_rewards", np.full(count, paid[0])).tolist())
        left = info.pop("agent_terminated", np.zeros(count, bool)) | terminated[0]
        terminations, truncations = self._by_agent(left.tolist()), dict.fromkeys(self.agents, bool(truncated[0]))
        told = self._seen(), rewards, terminations, truncations, self._told(info)
        self.agents = [agent for agent in self.agents if not (terminations[agent] or truncations[agent])]
        return told

    def state(self) -> NDArray[Any]:
        """The whole world's observation, flattened."""
        return self._state.copy()

    def _joined(self, actions: dict[str, Any]) -> NDArray[Any]:
        """The world's action [A] or [A, a]."""
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
                    f"The action of {agent} is {actions[agent]}, not one of {self.action_spaces[agent]}."
                )
        return joined

    def _by_agent(self, values: Iterable[Any]) -> dict[str, Any]:
        """The values [A] of the agents that have not left."""
        living = set(self.agents)
        return {agent: value for agent, value in zip(self.possible_agents, values, strict=True) if agent in living}

    def _seen(self) -> dict[str, Any]:
        if isinstance(self.windows, np.ndarray):
            return self._by_agent(self._state[self.windows])
        return self._by_agent([self._state[window] for window in self.windows])

    def _told(self, info: dict[str, Any]) -> dict[str, dict[str, Any]]:
        own = {name.removeprefix("agent_"): info.pop(name) for name in list(info) if name.startswith("agent_")}
        rows = [{**info, **{name: each[k] for name, each in own.items()}} for k in range(len(self.possible_agents))]
        return self._by_agent(rows)

    def render(self) -> Any:
        """What the world looks like; None without a render mode."""
        frames = self.batch.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Close the world."""
        self.batch.close()


def _require_one(batch: NativeVectorEnv) -> None:
    if batch.num_envs != 1 or batch.autoreset_mode is not AutoresetMode.DISABLED:
        raise InvalidParameter(
            f"One environment is a batch of one world with autoreset disabled, not of {batch.num_envs} with "
            f"{batch.autoreset_mode}."
        )


def _of_one(observations: Any) -> Any:
    if isinstance(observations, dict):
        return {name: part[0] for name, part in observations.items()}
    return observations[0]


def _row_space(done: spaces.Space[Any], k: int) -> spaces.Space[Any]:
    if isinstance(done, spaces.MultiDiscrete):
        return spaces.Discrete(int(done.nvec[k]), start=int(done.start[k]))
    assert isinstance(done, spaces.Box)
    return spaces.Box(done.low[k].reshape(-1), done.high[k].reshape(-1), dtype=done.dtype.type)


def _ends(done: spaces.Space[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lowest and highest actions, as float64 where they are no whole numbers."""
    if isinstance(done, spaces.MultiDiscrete):
        return done.start, done.start + done.nvec - 1
    assert isinstance(done, spaces.Box)
    return done.low.astype(np.float64) - SLACK, done.high.astype(np.float64) + SLACK


def _row(agent: str, action: Any, like: Any) -> Any:
    given = np.asarray(action)
    kinds = "iub" if np.issubdtype(like.dtype, np.integer) else "fiub"
    if given.dtype.kind not in kinds or given.size != np.size(like):
        raise InvalidAction(f"The action of {agent} is {np.size(like)} numbers, not {action!r}.")
    return given.reshape(np.shape(like))
