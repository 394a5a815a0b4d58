"""Simple Spread's physics, rewards and observations, compiled for batches of worlds.

Every operation has the order and the rounding of mpe2's (``mpe2._mpe_utils.core`` and ``simple_spread``), so results
are bit-equal. A world reads and writes only its own rows.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["CAPTURE", "COLLISION", "advance", "observe", "score"]

Floats = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])

DT = 0.1
DAMPING = 0.25
CONTACT_FORCE = 1e2
CONTACT_MARGIN = 1e-3
COLLISION = 0.3  # distance of two agents' centres: twice a radius of 0.15
CAPTURE = 0.1  # a landmark is occupied if an agent is nearer than this


def compiled(function: Function) -> Function:
    """Compile on the first call and keep the machine code on disk."""
    made: Any = njit(cache=True, nogil=True, error_model="numpy")
    return made(function)


@compiled
def _penetration(gap: float) -> float:
    """CONTACT_MARGIN * logaddexp(0, -gap / CONTACT_MARGIN), in NumPy's order of operations."""
    exponent = -gap / CONTACT_MARGIN
    if exponent == 0.0:
        return math.log(2.0) * CONTACT_MARGIN
    if exponent < 0.0:
        return math.log1p(math.exp(exponent)) * CONTACT_MARGIN
    return (exponent + math.log1p(math.exp(-exponent))) * CONTACT_MARGIN


@compiled
def advance(position: Floats, velocity: Floats, force: Floats, active: NDArray[np.bool_]) -> None:
    """Move the agents of the active worlds by one step of DT.

    Args:
        position, velocity: [N, A, 2], changed in place.
        force: commanded forces [N, A, 2]; contact forces are added in place.
        active: the worlds to step, bool [N].
    """
    for n in range(len(position)):
        if not active[n]:
            continue
        x, v, f = position[n], velocity[n], force[n]
        for i in range(len(x)):
            for j in range(i + 1, len(x)):
                dx, dy = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1]
                apart = math.sqrt(dx * dx + dy * dy)
                depth = _penetration(apart - COLLISION)
                push_x, push_y = CONTACT_FORCE * dx / apart * depth, CONTACT_FORCE * dy / apart * depth
                f[i, 0] = push_x + f[i, 0]
                f[i, 1] = push_y + f[i, 1]
                f[j, 0] = -push_x + f[j, 0]
                f[j, 1] = -push_y + f[j, 1]
        for i in range(len(x)):
            for axis in range(2):
                x[i, axis] += v[i, axis] * DT
                v[i, axis] = v[i, axis] * (1 - DAMPING) + f[i, axis] * DT


@compiled
def score(
    position: Floats, landmark: Floats, local_ratio: float, rewards: Floats, touching: Floats, nearest: Floats
) -> None:
    """Rewards of all worlds.

    Args:
        position, landmark: [N, A, 2].
        local_ratio: weight of an agent's own collisions; the landmarks' distances have 1 minus this.
        rewards: written, [N, A].
        touching: written, the number of other agents that each collides with, [N, A].
        nearest: written, the distance of each landmark's nearest agent, [N, A].
    """
    for n in range(len(position)):
        x, marks = position[n], landmark[n]
        shared = 0.0
        for m in range(len(marks)):
            best = np.inf
            for i in range(len(x)):
                dx, dy = x[i, 0] - marks[m, 0], x[i, 1] - marks[m, 1]
                best = min(best, math.sqrt(dx * dx + dy * dy))
            nearest[n, m] = best
            shared -= best
        for i in range(len(x)):
            hits = 0.0
            for j in range(len(x)):
                dx, dy = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1]
                if j != i and math.sqrt(dx * dx + dy * dy) < COLLISION:
                    hits += 1.0
            touching[n, i] = hits
            rewards[n, i] = shared * (1 - local_ratio) - hits * local_ratio


@compiled
def observe(position: Floats, velocity: Floats, landmark: Floats, seen: NDArray[np.float32]) -> None:
    """Observations [N, A, 6 A]: velocity, position, offsets of landmarks and of other agents; messages stay zero."""
    for n in range(len(position)):
        x, marks = position[n], landmark[n]
        agents = len(x)
        for i in range(agents):
            for axis in range(2):
                seen[n, i, axis] = velocity[n, i, axis]
                seen[n, i, 2 + axis] = x[i, axis]
                place = 4 + axis
                for m in range(agents):
                    seen[n, i, place] = marks[m, axis] - x[i, axis]
                    place += 2
                for j in range(agents):
                    if j != i:
                        seen[n, i, place] = x[j, axis] - x[i, axis]
                        place += 2
