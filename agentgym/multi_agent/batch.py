"""PettingZoo environments side by side, whatever their agents' spaces and whenever they leave."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from agentgym.contracts.settings import whole_number
from agentgym.errors import InvalidAction, InvalidParameter, ResetNeeded
from agentgym.multi_agent.groups import AgentGroup, group_agents
from agentgym.multi_agent.steps import JointObservation, JointStep
from agentgym.multi_agent.world import RecordedWorld, Seen
from agentgym.seeding import entropy, episode_seed
from agentgym.vector.resets import seed_of_one

__all__ = ["ParallelEnvBatch"]


class ParallelEnvBatch:
    """B PettingZoo ``ParallelEnv``s that are stepped side by side.

    A world's episode goes on until its last agent left; the world then starts anew in the same step. Episode e of world
    i is reset with ``episode_seed(seed, i, e)`` of :mod:`agentgym.seeding`, so a world's episodes do not depend on the
    others, and a batch can be put back to where it was by replay.

    Args:
        envs: one environment or B of them, with the same ``possible_agents`` and spaces. Each is deterministic for a
            given reset seed, and is reset once here, to learn the size of its state.
        groups: the agents of each group by name; by default those with equal spaces.
        max_episode_steps: truncates the agents that are still alive; None where episodes end by themselves.

    Attributes:
        agents: the A agents' ids, in the order of ``possible_agents``.
        groups: by name.
        state_size: S.
        replayed_exactly: whether the last :meth:`set_state` gave the same observations, rewards and ends bit for bit.

    Raises:
        InvalidParameter: the environments differ or one stands there twice, an agent's space is of another kind, or the
            groups do not fit (see :func:`agentgym.multi_agent.group_agents`).
    """

    def __init__(
        self,
        envs: ParallelEnv | Sequence[ParallelEnv],
        groups: Mapping[str, Sequence[Any]] | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        self.envs = list(envs) if isinstance(envs, Sequence) else [envs]
        if not self.envs or len({id(env) for env in self.envs}) < len(self.envs):
            raise InvalidParameter("A batch needs at least one environment, and each world its own.")
        if max_episode_steps is not None:
            whole_number("max_episode_steps", max_episode_steps, 1)
        self.groups: dict[str, AgentGroup] = group_agents(self.envs[0], groups)
        self.agents = list(self.envs[0].possible_agents)
        for number, env in enumerate(self.envs[1:], start=1):
            self._require_alike(number, env)
        self._worlds = [
            RecordedWorld(env, self.groups, number, max_episode_steps) for number, env in enumerate(self.envs)
        ]
        self.state_size = self._worlds[0].state_size
        if others := [world.number for world in self._worlds if world.state_size != self.state_size]:
            raise InvalidParameter(f"Worlds {others} have states of another size than world 0.")
        self.replayed_exactly = True
        self._seed: int | None = None
        self._episodes = [-1] * len(self.envs)

    def _require_alike(self, number: int, env: ParallelEnv) -> None:
        if list(env.possible_agents) != self.agents:
            raise InvalidParameter(f"World {number} has the agents {env.possible_agents}, world 0 {self.agents}.")
        for group in self.groups.values():
            for agent in group.agents:
                if (env.observation_space(agent), env.action_space(agent)) != (
                    group.observation_space, group.action_space,
                ):  # fmt: skip
                    raise InvalidParameter(f"Agent {agent!r} has other spaces in world {number} than in world 0.")

    @property
    def num_envs(self) -> int:
        """B."""
        return len(self.envs)

    @property
    def elapsed(self) -> NDArray[np.int64]:
        """Steps since each world's episode began, [B]."""
        return np.array([world.elapsed for world in self._worlds], np.int64)

    def reset(self, seed: int | None = None) -> JointObservation:
        """Start the first episode of every world.

        Args:
            seed: a whole number from 0 up; None takes a fresh one from the operating system.

        Raises:
            InvalidParameter: the seed is no such number.
        """
        self._seed = entropy() if seed is None else seed_of_one(seed)
        self._episodes = [-1] * self.num_envs
        for world in range(self.num_envs):
            self._begin(world)
        return self.current

    def _begin(self, world: int) -> None:
        self._episodes[world] += 1
        self._worlds[world].begin(self._episode_seed(world))

    def _episode_seed(self, world: int) -> int:
        assert self._seed is not None
        return episode_seed(self._seed, world, self._episodes[world])

    @property
    def current(self) -> JointObservation:
        """What the agents act on next.

        Raises:
            ResetNeeded: there was no reset yet.
        """
        self._require_started()
        return self._joint([world.current for world in self._worlds])

    def step(self, actions: Mapping[str, Any]) -> JointStep:
        """Step every world; those whose last agent left start anew.

        Args:
            actions: by group [B, G, ...]. Entries of agents that are not alive are not read.

        Raises:
            ResetNeeded: there was no reset yet.
            InvalidAction: a group is missing or unknown, or an action is not of its space. No world was stepped.
            InvalidParameter: an environment left out what an agent should get, or an agent left without an end.
            SpaceMismatch: an observation is not of its space.
            NonFinite: an observation, a reward or a state is not finite.
        """
        self._require_started()
        acted = np.stack([world.alive for world in self._worlds])
        checked = self._checked(actions, acted)
        steps = [world.step({name: each[i] for name, each in checked.items()}) for i, world in enumerate(self._worlds)]
        reached = self._joint([step.reached for step in steps])
        over: NDArray[np.bool_] = np.logical_not(reached.alive.any(axis=1))
        for world in np.flatnonzero(over).tolist():
            self._begin(world)
        terminated, truncated = np.stack([s.terminated for s in steps]), np.stack([s.truncated for s in steps])
        left = (terminated | truncated).any()
        return JointStep(
            acted, np.stack([step.rewards for step in steps]), terminated, truncated, over, reached,
            self.current if left else reached,
        )  # fmt: skip

    def _checked(self, actions: Mapping[str, Any], alive: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        if not isinstance(actions, Mapping) or set(actions) != set(self.groups):
            given = sorted(actions) if isinstance(actions, Mapping) else type(actions).__name__
            raise InvalidAction(f"Actions are given by group, for each of {sorted(self.groups)}, not {given}.")
        return {
            name: group.checked_actions(actions[name], alive[:, group.index]) for name, group in self.groups.items()
        }

    def _joint(self, worlds: list[Seen]) -> JointObservation:
        observations = {}
        for name, group in self.groups.items():
            space = group.observation_space
            arrays = np.zeros((len(worlds), len(group.agents), *(space.shape or ())), space.dtype)
            for i, seen in enumerate(worlds):
                for place, k in enumerate(group.index.tolist()):
                    if (observation := seen.observations[k]) is not None:
                        arrays[i, place] = observation
            observations[name] = arrays
        alive = np.stack([world.alive for world in self._worlds])
        return JointObservation(observations, alive, np.stack([s.state for s in worlds]), [s.infos for s in worlds])

    def _require_started(self) -> None:
        if self._seed is None:
            raise ResetNeeded("Call reset() first.")

    def get_state(self) -> dict[str, Any]:
        """Where the worlds are: seed, episodes and actions since, as nested dictionaries of arrays and JSON values."""
        self._require_started()
        worlds = [world.record() for world in self._worlds]
        return {"seed": self._seed, "episodes": list(self._episodes), "worlds": worlds}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Play the episodes again up to where :meth:`get_state` found them, also in another batch made the same way.

        :attr:`current` then is what the agents act on, and :attr:`replayed_exactly` tells whether all answers were the
        same.

        Raises:
            InvalidParameter: it is the state of another number of worlds or of other groups.
        """
        try:
            seed, episodes, worlds = seed_of_one(state["seed"]), list(state["episodes"]), list(state["worlds"])
            fits = len(episodes) == len(worlds) == self.num_envs
            fits = fits and all(set(world["actions"]) == set(self.groups) for world in worlds)
        except (KeyError, TypeError) as error:
            raise InvalidParameter(f"This is no state of {type(self).__name__} ({error!r}).") from error
        if not fits:
            raise InvalidParameter(f"The state is of other groups than these, or not of {self.num_envs} worlds.")
        self._seed, self._episodes = seed, [int(episode) for episode in episodes]
        exact = [world.replay(self._episode_seed(i), worlds[i]) for i, world in enumerate(self._worlds)]
        self.replayed_exactly = all(exact)

    def render(self) -> list[Any]:
        """What each environment draws."""
        return [env.render() for env in self.envs]

    def close(self) -> None:
        """Close the environments."""
        for env in self.envs:
            env.close()
