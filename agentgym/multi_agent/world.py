"""A PettingZoo environment with validated episodes, and a version that can be recorded and replayed."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from agentgym.contracts.finite import is_finite, require_finite
from agentgym.errors import InvalidParameter, SpaceMismatch
from agentgym.multi_agent.groups import AgentGroup

__all__ = ["RecordedWorld", "Seen", "World", "WorldStep"]


@dataclass
class Seen:
    """Observations of the agents of one environment.

    Attributes:
        observations: one per agent, [A]; None for agents without an observation.
        infos: infos by agent, for agents with an observation.
        state: global state, float32 [S]; empty if it is not recorded.
    """

    observations: list[NDArray[Any] | None]
    infos: dict[Any, dict[str, Any]]
    state: NDArray[np.float32]


@dataclass
class WorldStep:
    """A step of one environment: rewards float64 [A], terminated and truncated bool [A], and the next observations."""

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    reached: Seen


class World:
    """A ``ParallelEnv`` and its current episode. All return values of the environment are validated.

    Args:
        env: the environment.
        groups: groups of its agents.
        number: index of the environment in a batch, for messages.
        max_episode_steps: time limit in steps; None for no limit.

    Attributes:
        alive: the agents that act next, bool [A].
        elapsed: steps since the episode began.
        current: observations for the next actions.
    """

    current: Seen

    def __init__(
        self, env: ParallelEnv, groups: dict[str, AgentGroup], number: int = 0, max_episode_steps: int | None = None
    ) -> None:
        self.env, self.groups, self.number, self.max_episode_steps = env, groups, number, max_episode_steps
        self.agents = list(env.possible_agents)
        self.spaces = [env.observation_space(agent) for agent in self.agents]
        self._places = {
            k: (name, place) for name, group in groups.items() for place, k in enumerate(group.index.tolist())
        }
        self.alive = np.zeros(len(self.agents), bool)
        self.elapsed = 0
        self._left = np.zeros(len(self.agents), bool)

    def begin(self, seed: int | None, options: dict[str, Any] | None = None) -> None:
        """Start an episode.

        Raises:
            InvalidParameter: no agent is alive, or an agent is not one of ``possible_agents``.
        """
        observations, infos = self.env.reset(seed=seed, **({"options": options} if options else {}))
        self.elapsed = 0
        self._left[:] = False
        self.alive = self._living()
        if not self.alive.any():
            raise InvalidParameter(f"{self._where()} no agent is alive at the start of an episode.")
        self.current = self._see(observations, infos, self.alive)

    def step(self, actions: dict[str, NDArray[Any]]) -> WorldStep:
        """Step the living agents; ``actions`` by group [G, ...], ignored for the others.

        Raises:
            InvalidParameter: the environment did not return a value for an agent, or an agent left without being
                terminated or truncated.
            SpaceMismatch: an observation is not in the agent's space.
            NonFinite: an observation, a reward or the state is not finite.
        """
        acted = self.alive
        self.elapsed += 1
        observations, rewards, terminations, truncations, infos = self.env.step(self._by_agent(actions))
        own = self._of_all(acted, "reward", rewards, np.float64)
        if not is_finite(own):
            require_finite(f"{self._where()} the reward of all agents", own)
        terminated = self._of_all(acted, "termination", terminations, np.bool_)
        truncated = self._of_all(acted, "truncation", truncations, np.bool_)
        if self.max_episode_steps is not None and self.elapsed >= self.max_episode_steps:
            truncated |= acted & ~terminated
        self._left |= terminated | truncated
        self.alive = self._living() & ~self._left
        if (lost := acted & ~self.alive & ~self._left).any():
            names = [self.agents[k] for k in np.flatnonzero(lost)]
            raise InvalidParameter(f"{self._where()} agents {names} left without being terminated or truncated.")
        silent = terminated & np.array([agent not in observations for agent in self.agents])
        seeing = (acted & ~silent) | self.alive
        reached = self._see(observations, infos, seeing)
        self.current = reached if (seeing == self.alive).all() else self._only_alive(reached)
        return WorldStep(own, terminated, truncated, reached)

    def _living(self) -> NDArray[np.bool_]:
        living = set(self.env.agents)
        if unknown := living.difference(self.agents):
            raise InvalidParameter(f"{self._where()} agents {sorted(map(str, unknown))} are not in possible_agents.")
        return np.array([agent in living for agent in self.agents])

    def _by_agent(self, actions: dict[str, NDArray[Any]]) -> dict[Any, Any]:
        by_agent: dict[Any, Any] = {}
        for k in np.flatnonzero(self.alive).tolist():  # in the order of possible_agents
            name, place = self._places[k]
            action = actions[name][place]
            by_agent[self.agents[k]] = action.copy() if action.ndim else action.item()
        return by_agent

    def _of_all(self, acted: NDArray[np.bool_], what: str, given: dict[Any, Any], kind: Any) -> NDArray[Any]:
        """One value per agent as an array [A], zero for agents that did not act."""
        values = np.zeros(len(self.agents), kind)
        for k in np.flatnonzero(acted).tolist():
            value = given.get(self.agents[k])
            if isinstance(value, float | int | np.generic):
                values[k] = value
            elif value is None:
                raise InvalidParameter(f"{self._where()} agent {self.agents[k]!r} got no {what}.")
            elif np.size(value) != 1:
                raise InvalidParameter(f"{self._where()} agent {self.agents[k]!r} got the {what} {value!r}.")
            else:
                values[k] = np.asarray(value).item()
        return values

    def _see(self, observations: dict[Any, Any], infos: dict[Any, Any], seeing: NDArray[np.bool_]) -> Seen:
        seen: list[NDArray[Any] | None] = [None] * len(self.agents)
        for k in np.flatnonzero(seeing).tolist():
            seen[k] = self._observation(k, observations)
        own = {agent: infos.get(agent, {}) for k, agent in enumerate(self.agents) if seeing[k]}
        return Seen(seen, own, self._state(seen))

    def _observation(self, k: int, observations: dict[Any, Any]) -> NDArray[Any]:
        agent, space = self.agents[k], self.spaces[k]
        if agent not in observations:
            raise InvalidParameter(f"{self._where()} agent {agent!r} got no observation.")
        given = np.asarray(observations[agent])
        whole = given.dtype.kind in "iub" and space.dtype is not None and space.dtype.kind in "iub"
        if given.shape != space.shape or not (whole or np.can_cast(given.dtype, space.dtype, "same_kind")):
            raise SpaceMismatch(
                f"{self._where()} agent {agent!r} observes {given.dtype} {list(given.shape)}, but its space is {space}."
            )
        if not is_finite(given):
            require_finite(f"{self._where()} the observation of agent {agent!r}", given)
        converted = given.astype(space.dtype)  # a copy: environments may reuse the array
        if not isinstance(space, spaces.Box) and not space.contains(converted):
            raise SpaceMismatch(f"{self._where()} agent {agent!r} observes {converted}, but its space is {space}.")
        return converted

    def _state(self, seen: list[NDArray[Any] | None]) -> NDArray[np.float32]:
        return np.zeros(0, np.float32)

    def _only_alive(self, seen: Seen) -> Seen:
        kept = [each if lives else None for each, lives in zip(seen.observations, self.alive, strict=True)]
        infos = {agent: seen.infos[agent] for k, agent in enumerate(self.agents) if self.alive[k]}
        return Seen(kept, infos, seen.state)

    def _where(self) -> str:
        return f"Environment {self.number}, step {self.elapsed}:"


class RecordedWorld(World):
    """A :class:`World` with global states, whose episode is recorded and can be replayed.

    The constructor resets the environment once to determine the size of its state.

    Attributes:
        state_size: size S of the global state.
        gives_state: whether the environment implements ``state()``.
    """

    def __init__(
        self, env: ParallelEnv, groups: dict[str, AgentGroup], number: int = 0, max_episode_steps: int | None = None
    ) -> None:
        super().__init__(env, groups, number, max_episode_steps)
        self._actions: list[dict[str, NDArray[Any]]] = []
        self._digest = hashlib.blake2b(digest_size=16)
        self.gives_state = True
        self.env.reset(seed=0)
        try:
            self.state_size = int(np.size(env.state()))
        except NotImplementedError:
            self.gives_state, self.state_size = False, sum(map(spaces.flatdim, self.spaces))

    def begin(self, seed: int | None, options: dict[str, Any] | None = None) -> None:
        """See :meth:`World.begin`."""
        super().begin(seed, options)
        self._actions, self._digest = [], hashlib.blake2b(digest_size=16)
        self._add(self.current)

    def step(self, actions: dict[str, NDArray[Any]]) -> WorldStep:
        """See :meth:`World.step`."""
        self._actions.append(actions)
        step = super().step(actions)
        self._add(step.reached)
        for part in (step.rewards, step.terminated, step.truncated):
            self._digest.update(part.tobytes())
        return step

    def _state(self, seen: list[NDArray[Any] | None]) -> NDArray[np.float32]:
        if not self.gives_state:
            parts: list[Any] = [
                np.zeros(spaces.flatdim(space)) if each is None else spaces.flatten(space, each)
                for each, space in zip(seen, self.spaces, strict=True)
            ]
            return np.concatenate(parts).astype(np.float32)
        state = np.array(self.env.state(), np.float32).reshape(-1)
        if state.size != self.state_size:
            raise InvalidParameter(f"{self._where()} state() has {state.size} entries instead of {self.state_size}.")
        if not is_finite(state):
            require_finite(f"{self._where()} state()", state)
        return state

    def _only_alive(self, seen: Seen) -> Seen:
        kept = super()._only_alive(seen)
        return kept if self.gives_state else replace(kept, state=self._state(kept.observations))

    def _add(self, seen: Seen) -> None:
        for observation in seen.observations:
            if observation is not None:
                self._digest.update(np.ascontiguousarray(observation).tobytes())
        self._digest.update(seen.state.tobytes())

    def record(self) -> dict[str, Any]:
        """The episode so far: actions by group [steps, G, ...], and a digest of all return values."""
        actions = {
            name: np.array([each[name] for each in self._actions], group.action_space.dtype).reshape(
                -1, len(group.agents), *(group.action_space.shape or ())
            )
            for name, group in self.groups.items()
        }
        return {"actions": actions, "digest": self._digest.hexdigest()}

    def replay(self, seed: int, record: dict[str, Any]) -> bool:
        """Replay a recorded episode; return whether all return values were equal bit for bit."""
        self.begin(seed)
        for t in range(len(next(iter(record["actions"].values())))):
            self.step({name: actions[t] for name, actions in record["actions"].items()})
        return self._digest.hexdigest() == record["digest"]
