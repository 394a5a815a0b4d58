"""Observations and steps of several agents, as arrays over B environments and A agents."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["JointObservation", "JointStep"]


@dataclass(frozen=True, eq=False)
class JointObservation:
    """Observations of the agents in B environments. Entries of agents without an observation are zero.

    Attributes:
        observations: observations by group [B, G, ...], in the dtype of the group's observation space.
        alive: the agents that act next, bool [B, A], in the order of ``possible_agents``.
        states: global states, float32 [B, S]: ``state()`` of the environment if implemented; otherwise the concatenated
            observations of all agents, flattened by :func:`gymnasium.spaces.flatten`.
        infos: one dictionary per environment with the info of every agent that has an observation.
    """

    observations: dict[str, NDArray[Any]]
    alive: NDArray[np.bool_]
    states: NDArray[np.float32]
    infos: list[dict[Any, dict[str, Any]]]


@dataclass(frozen=True, eq=False)
class JointStep:
    """A step of B environments. Entries of agents that did not act are zero and must not enter a loss.

    Bootstrap an agent's return from its observation in ``reached`` unless it is ``terminated``; truncated agents are
    bootstrapped.

    Attributes:
        acted: the agents that were alive before the step, bool [B, A].
        rewards: float64 [B, A].
        terminated: bool [B, A].
        truncated: bool [B, A]; the episode of an agent ends if it is terminated or truncated.
        over: the environments whose last agent left in this step, bool [B].
        reached: observations after the step, including the final ones of agents that left in this step.
        current: observations for the next actions: those of new episodes if an environment is over, and none of agents
            that have left. The same object as ``reached`` if no agent left.
    """

    acted: NDArray[np.bool_]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    over: NDArray[np.bool_]
    reached: JointObservation
    current: JointObservation
