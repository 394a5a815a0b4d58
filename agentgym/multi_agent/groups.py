"""Groups of agents with equal spaces, which share arrays and may share a network."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from agentgym.contracts.spaces import space_from_json, space_to_json
from agentgym.errors import CorruptFile, InvalidAction, InvalidParameter, SpaceMismatch

__all__ = ["AgentGroup", "check_same_groups", "group_agents", "groups_from_json", "groups_to_json"]

_KINDS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


@dataclass(frozen=True, eq=False)
class AgentGroup:
    """A group of agents with equal spaces.

    Attributes:
        name: name of the group, unique in its environment.
        agents: ids of the G agents, in the order of ``possible_agents``.
        index: positions of the agents among all agents, int64 [G]; ``rewards[:, group.index]`` are their rewards.
        observation_space: observation space of each agent.
        action_space: action space of each agent.
    """

    name: str
    agents: tuple[Any, ...]
    index: NDArray[np.int64]
    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]

    def checked_actions(self, actions: Any, alive: NDArray[np.bool_]) -> NDArray[Any]:
        """Convert actions [B, G, ...] to the dtype of the action space, with zeros for agents outside ``alive`` [B, G].

        Raises:
            InvalidAction: the shape is wrong, or the action of a living agent is not finite or not in a discrete space.
        """
        space = self.action_space
        shape = (*alive.shape, *(space.shape or ()))
        try:
            given = np.asarray(actions)
        except ValueError as error:
            raise InvalidAction(
                f"Actions of group {self.name!r} must be an array of shape {list(shape)}: {error}."
            ) from error
        if given.shape != shape or given.dtype.kind not in "fiub":
            raise InvalidAction(
                f"Actions of group {self.name!r} must be numbers of shape {list(shape)}, not {given.dtype} "
                f"{list(given.shape)}."
            )
        checked = np.zeros(shape, space.dtype)
        rows = given[alive]
        if wrong := _invalid_rows(space, rows):
            world, place = np.argwhere(alive)[wrong[0]].tolist()
            action = rows[wrong[0]].tolist()
            raise InvalidAction(
                f"The action of {self.agents[place]!r} in environment {world} is {action}, which is not in {space}."
            )
        checked[alive] = rows
        return checked


def _invalid_rows(space: spaces.Space[Any], rows: NDArray[Any]) -> list[int]:
    """Indices of rows that are not finite or, for an integer space, not in the space."""
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        good = np.isfinite(rows)
    elif rows.dtype.kind == "f":
        good = np.zeros(rows.shape, bool)
    else:
        low, high = _ends(space)
        good = (low <= rows) & (rows <= high)
    return np.unique(np.nonzero(~good)[0]).tolist()


def _ends(space: Any) -> tuple[Any, Any]:
    match space:
        case spaces.Discrete():
            return space.start, space.start + space.n - 1
        case spaces.MultiDiscrete():
            return space.start, space.start + space.nvec - 1
        case spaces.MultiBinary():
            return 0, 1
    return space.low, space.high


def group_agents(env: ParallelEnv, groups: Mapping[str, Sequence[Any]] | None = None) -> dict[str, AgentGroup]:
    """Divide the ``possible_agents`` of an environment into groups.

    Args:
        env: an environment whose agents have Box, Discrete, MultiDiscrete or MultiBinary spaces.
        groups: agents of each group by name; every agent belongs to exactly one. By default, agents with equal spaces
            form a group, named after the agents without their numbers ("adversary" for adversary_0 and adversary_1).

    Raises:
        InvalidParameter: there are no ``possible_agents``, a space is of another kind, or ``groups`` omits or repeats
            an agent, names an unknown one, or joins agents whose spaces differ.
    """
    agents = list(getattr(env, "possible_agents", ()))
    if not agents:
        raise InvalidParameter(f"{env} has no possible_agents: a learner must know all agents beforehand.")
    own = {agent: (env.observation_space(agent), env.action_space(agent)) for agent in agents}
    for agent, pair in own.items():
        for what, space in zip(("observation", "action"), pair, strict=True):
            if not isinstance(space, _KINDS):
                raise InvalidParameter(
                    f"Agent {agent!r} has the {what} space {space}. Flatten it, in a wrapper, to a Box, Discrete, "
                    "MultiDiscrete or MultiBinary space."
                )
    members = _by_spaces(own) if groups is None else _given(groups, own)
    return {
        name: AgentGroup(name, tuple(ids), np.array([agents.index(agent) for agent in ids]), *own[ids[0]])
        for name, ids in members.items()
    }


def _by_spaces(own: dict[Any, tuple[Any, Any]]) -> dict[str, list[Any]]:
    alike: list[list[Any]] = []
    for agent, pair in own.items():
        group = next((ids for ids in alike if own[ids[0]] == pair), None)
        if group is None:
            alike.append(group := [])
        group.append(agent)
    members: dict[str, list[Any]] = {}
    for ids in alike:
        stems = {re.sub(r"[\s_-]*\d+$", "", str(agent)) or "agents" for agent in ids}
        name = "+".join(sorted(stems))
        members[name if name not in members else f"{name} ({ids[0]})"] = ids
    return members


def _given(groups: Mapping[str, Sequence[Any]], own: dict[Any, tuple[Any, Any]]) -> dict[str, list[Any]]:
    order = list(own)
    named = [agent for ids in groups.values() for agent in ids]
    if unknown := [agent for agent in named if agent not in own]:
        raise InvalidParameter(f"There are no agents {unknown}: the environment has {order}.")
    if wrong := [agent for agent in order if named.count(agent) != 1]:
        raise InvalidParameter(f"Every agent belongs to one group, but {wrong} are in none or in several.")
    members = {str(name): sorted(ids, key=order.index) for name, ids in groups.items() if len(ids)}
    for name, ids in members.items():
        if others := [agent for agent in ids if own[agent] != own[ids[0]]]:
            raise InvalidParameter(f"In group {name!r} agents {others} have other spaces than {ids[0]!r}.")
    return members


def groups_to_json(groups: Mapping[str, AgentGroup]) -> list[dict[str, Any]]:
    """Convert groups to plain JSON values, for saved agents. :func:`groups_from_json` is the inverse.

    Raises:
        InvalidParameter: the id of an agent is neither a string nor an int.
    """
    if strange := [agent for group in groups.values() for agent in group.agents if type(agent) not in (str, int)]:
        raise InvalidParameter(f"Agents {strange} cannot be saved: an id must be a string or a whole number.")
    return [
        {
            "name": group.name, "agents": list(group.agents), "index": group.index.tolist(),
            "observation_space": space_to_json(group.observation_space),
            "action_space": space_to_json(group.action_space),
        }
        for group in groups.values()
    ]  # fmt: skip


def groups_from_json(values: Any) -> dict[str, AgentGroup]:
    """The inverse of :func:`groups_to_json`.

    Raises:
        CorruptFile: the values do not describe groups.
    """
    try:
        groups = [
            AgentGroup(
                str(each["name"]), tuple(each["agents"]), np.array(each["index"], np.int64),
                space_from_json(each["observation_space"]), space_from_json(each["action_space"]),
            )
            for each in values
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFile(f"the file describes no groups of agents ({error!r})") from error
    places = [place for group in groups for place in group.index.tolist()]
    agents = [agent for group in groups for agent in group.agents]
    if sorted(places) != list(range(len(agents))) or len({group.name for group in groups}) < len(groups):
        raise CorruptFile(f"the file's groups do not tell {len(agents)} agents apart")
    return {group.name: group for group in groups}


def check_same_groups(own: Mapping[str, AgentGroup], environment: Mapping[str, AgentGroup]) -> None:
    """Compare the groups of an agent with those of an environment.

    Raises:
        SpaceMismatch: names, agents or spaces differ; the message says which.
    """
    if list(own) != list(environment):
        raise SpaceMismatch(f"The agent knows the groups {list(own)}, the environment has {list(environment)}.")
    for ours, its in zip(own.values(), environment.values(), strict=True):
        for what, one, other in (
            ("agents", (ours.agents, ours.index.tolist()), (its.agents, its.index.tolist())),
            ("observation space", ours.observation_space, its.observation_space),
            ("action space", ours.action_space, its.action_space),
        ):
            if one != other:
                raise SpaceMismatch(
                    f"The {what} of group {ours.name!r} is {one} in the agent, {other} in the environment."
                )
