"""Batches of PettingZoo environments whose agents may differ in their spaces and may leave early."""

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
    """B environments of PettingZoo's class ``ParallelEnv`` that are stepped together.

    An episode lasts until its last agent has left; the environment is then reset in the same step. Episode e of
    environment i is reset with ``episode_seed(seed, i, e)`` of :mod:`agentgym.seeding`, so the episodes of an
    environment do not depend on the others, and the state of a batch can be restored by replay.

    Args:
        envs: one or B environments with the same ``possible_agents`` and spaces. They must be deterministic given the
            reset seed. The constructor resets each once to determine the size of its state.
        groups: agents of each group by name; by default, agents with equal spaces form a group.
        max_episode_steps: time limit that truncates all remaining agents; None for no limit.

    Attributes:
        agents: ids of the A agents, in the order of ``possible_agents``.
        groups: groups by name.
        state_size: size S of the global state.
        replayed_exactly: whether the last :meth:`set_state` reproduced all observations, rewards and ends bit for bit.

    Raises:
        InvalidParameter: the environments differ, one is given twice, a space is of an unsupported kind, or the groups
            are invalid (see :func:`agentgym.multi_agent.group_agents`).
    """

    def __init__(
        self,
        envs: ParallelEnv | Sequence[ParallelEnv],
        groups: Mapping[str, Sequence[Any]] | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        self.envs = list(envs) if isinstance(envs, Sequence) else [envs]
        if not self.envs or len({id(env) for env in self.envs}) < len(self.envs):
            raise InvalidParameter("A batch needs at least one environment, and no environment may be given twice.")
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
            raise InvalidParameter(f"The state size of environments {others} differs from that of environment 0.")
        self.replayed_exactly = True
        self._seed: int | None = None
        self._episodes = [-1] * len(self.envs)

    def _require_alike(self, number: int, env: ParallelEnv) -> None:
        if list(env.possible_agents) != self.agents:
            raise InvalidParameter(
                f"Environment {number} has the agents {env.possible_agents}, environment 0 {self.agents}."
            )
        for group in self.groups.values():
            for agent in group.agents:
                if (env.observation_space(agent), env.action_space(agent)) != (
                    group.observation_space, group.action_space,
                ):  # fmt: skip
                    raise InvalidParameter(f"The spaces of agent {agent!r} differ in environments {number} and 0.")

    @property
    def num_envs(self) -> int:
        """Number of environments B."""
        return len(self.envs)

    @property
    def elapsed(self) -> NDArray[np.int64]:
        """Steps since the episode of each environment began, [B]."""
        return np.array([world.elapsed for world in self._worlds], np.int64)

    def reset(self, seed: int | None = None) -> JointObservation:
        """Start the first episode of every environment.

        Args:
            seed: a whole number of at least 0; None takes a fresh seed from the operating system.

        Raises:
            InvalidParameter: the seed is invalid.
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
        """The observation for the next actions.

        Raises:
            ResetNeeded: the batch was never reset.
        """
        self._require_started()
        return self._joint([world.current for world in self._worlds])

    def step(self, actions: Mapping[str, Any]) -> JointStep:
        """Step every environment; reset those whose last agent has left.

        Args:
            actions: actions by group [B, G, ...]. Entries of agents that are not alive are ignored.

        Raises:
            ResetNeeded: the batch was never reset.
            InvalidAction: a group is missing or unknown, or an action is not in its space; nothing was stepped.
            InvalidParameter: an environment did not return a value for an agent, or an agent left without being
                terminated or truncated.
            SpaceMismatch: an observation is not in its space.
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
            raise InvalidAction(f"Actions must be given for each of the groups {sorted(self.groups)}, not {given}.")
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
        """The state for replay: seed, episodes and actions, as nested dictionaries of arrays and JSON values."""
        self._require_started()
        worlds = [world.record() for world in self._worlds]
        return {"seed": self._seed, "episodes": list(self._episodes), "worlds": worlds}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state from :meth:`get_state` by replay, also of another batch made with the same arguments.

        Afterwards, :attr:`current` is the observation for the next actions, and :attr:`replayed_exactly` tells whether
        the replay was exact.

        Raises:
            InvalidParameter: the state has another number of environments or other groups.
        """
        try:
            seed, episodes, worlds = seed_of_one(state["seed"]), list(state["episodes"]), list(state["worlds"])
            fits = len(episodes) == len(worlds) == self.num_envs
            fits = fits and all(set(world["actions"]) == set(self.groups) for world in worlds)
        except (KeyError, TypeError) as error:
            raise InvalidParameter(f"This is not a state of {type(self).__name__} ({error!r}).") from error
        if not fits:
            raise InvalidParameter(f"The state has other groups, or does not have {self.num_envs} environments.")
        self._seed, self._episodes = seed, [int(episode) for episode in episodes]
        exact = [world.replay(self._episode_seed(i), worlds[i]) for i, world in enumerate(self._worlds)]
        self.replayed_exactly = all(exact)

    def render(self) -> list[Any]:
        """Render each environment."""
        return [env.render() for env in self.envs]

    def close(self) -> None:
        """Close the environments."""
        for env in self.envs:
            env.close()
