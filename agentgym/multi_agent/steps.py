"""What several agents saw and what a step gave them, as arrays over B worlds and A agents."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["JointObservation", "JointStep"]


@dataclass(frozen=True, eq=False)
class JointObservation:
    """What the agents of B worlds see. Entries of agents that see nothing are zero.

    Attributes:
        observations: by group [B, G, ...], in the type of the group's observation space.
        alive: bool [B, A]; who acts next. Agents stand in the order of ``possible_agents``.
        states: float32 [B, S]; the environment's ``state()`` where it gives one. Otherwise all agents' observations one
            after another, flattened as by :func:`gymnasium.spaces.flatten`, zero for agents that see nothing.
        infos: one dictionary a world: the info of every agent that sees something.
    """

    observations: dict[str, NDArray[Any]]
    alive: NDArray[np.bool_]
    states: NDArray[np.float32]
    infos: list[dict[Any, dict[str, Any]]]


@dataclass(frozen=True, eq=False)
class JointStep:
    """A step of B worlds. Entries of agents that did not act are zero and belong in no loss.

    The value of an agent's last observation, ``reached``, continues its return unless it ``terminated``: an agent that
    a time limit cut off did not die.

    Attributes:
        acted: bool [B, A]; the agents that were alive before the step.
        rewards: float64 [B, A].
        terminated: bool [B, A].
        truncated: bool [B, A]; an agent's episode is over when it terminated or was truncated.
        over: bool [B]; the worlds whose last agents left in this step.
        reached: what the step led to. An agent that left in this step has its final observation here.
        current: what the agents act on next: new episodes in the worlds that are over, nothing for those who left. The
            same object as ``reached`` where nobody left.
    """

    acted: NDArray[np.bool_]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    over: NDArray[np.bool_]
    reached: JointObservation
    current: JointObservation
