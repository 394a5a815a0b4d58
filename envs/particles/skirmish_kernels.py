"""Skirmish's rules, compiled for batches of worlds. A world reads and writes only its own rows."""

import math

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.particles.spread_kernels import compiled

__all__ = ["COOLDOWN", "RANGE", "fight", "observe"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SPEED = 0.1  # distance of a move
RANGE = 0.4  # of an attack
DAMAGE = 0.2  # of a health of 1
COOLDOWN = 2  # steps from an attack to the next
ARENA = 1.0  # positions stay in [-ARENA, ARENA]^2


@compiled
def _apart(x: Floats, y: Floats) -> float:
    return math.sqrt((x[0] - y[0]) ** 2 + (x[1] - y[1]) ** 2)


@compiled
def _move(x: Floats, direction: int) -> None:
    """1: left, 2: right, 3: down, 4: up."""
    axis = (direction - 1) // 2
    x[axis] += SPEED if (direction - 1) % 2 else -SPEED
    x[axis] = min(max(x[axis], -ARENA), ARENA)


@compiled
def _nearest(x: Floats, others: Floats, health: Floats) -> int:
    best, least = -1, np.inf
    for k in range(len(others)):
        if health[k] > 0 and _apart(x, others[k]) < least:
            best, least = k, _apart(x, others[k])
    return best


@compiled
def fight(
    place: Floats,
    health: Floats,
    cool: Floats,
    agents: int,
    actions: NDArray[np.int64],
    active: Flags,
    dealt: Floats,
    taken: Floats,
) -> None:
    """One step of the active worlds: everyone moves or aims, then all hits of the step count at once.

    Args:
        place: [N, U, 2], agents first, then enemies; changed in place.
        health: [N, U], 0 of the fallen; changed in place.
        cool: [N, U], steps until the next attack; changed in place.
        agents: how many of the U are agents.
        actions: [N, A]: 0 stands still, 1 to 4 move, 5 + e attacks enemy e.
        active: the worlds to step, bool [N].
        dealt, taken: written, health that enemies and agents lost, [N].
    """
    units = place.shape[1]
    for n in range(len(place)):
        if not active[n]:
            continue
        x, h, c = place[n], health[n], cool[n]
        target = np.full(units, -1)
        before = x.copy()
        for k in range(units):
            if h[k] <= 0:
                continue
            if k < agents:
                if actions[n, k] >= 5:
                    target[k] = agents + actions[n, k] - 5
                elif actions[n, k] > 0:
                    _move(x[k], actions[n, k])
            else:  # enemies attack the nearest agent, or go there along the longer axis
                foe = _nearest(before[k], before[:agents], h[:agents])
                if _apart(before[k], before[foe]) <= RANGE:
                    target[k] = foe
                else:
                    dx, dy = before[foe, 0] - before[k, 0], before[foe, 1] - before[k, 1]
                    if abs(dx) >= abs(dy):
                        _move(x[k], 2 if dx > 0 else 1)
                    else:
                        _move(x[k], 4 if dy > 0 else 3)
        lost = np.zeros(units)
        for k in range(units):
            if target[k] >= 0 and c[k] <= 0 and h[target[k]] > 0 and _apart(x[k], x[target[k]]) <= RANGE:
                lost[target[k]] += DAMAGE
                c[k] = COOLDOWN
            elif c[k] > 0:
                c[k] -= 1
        dealt[n] = taken[n] = 0.0
        for k in range(units):
            hit = min(lost[k], h[k])
            h[k] = max(h[k] - lost[k], 0.0)
            if h[k] < 1e-9:  # five hits of 0.2 leave a rounding error
                h[k] = 0.0
            if k < agents:
                taken[n] += hit
            else:
                dealt[n] += hit


@compiled
def observe(place: Floats, health: Floats, cool: Floats, agents: int, seen: NDArray[np.float32]) -> None:
    """Observations [N, A, F]: own health, position and cooldown; of every other unit whether it stands, its offset,
    health, and of enemies whether they are in range. The fallen see zeros.
    """
    units = place.shape[1]
    seen[:] = 0
    for n in range(len(place)):
        for i in range(agents):
            if health[n, i] <= 0:
                continue
            row = seen[n, i]
            row[0], row[1], row[2], row[3] = health[n, i], place[n, i, 0], place[n, i, 1], cool[n, i]
            at = 4
            for k in range(units):
                if k == i:
                    continue
                if health[n, k] > 0:
                    row[at] = 1
                    row[at + 1], row[at + 2] = place[n, k, 0] - place[n, i, 0], place[n, k, 1] - place[n, i, 1]
                    row[at + 3] = health[n, k]
                    if k >= agents and _apart(place[n, i], place[n, k]) <= RANGE:
                        row[at + 4] = 1
                at += 4 if k < agents else 5
