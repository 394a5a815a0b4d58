"""What agents are told, and what a step was worth: transits, collisions, rewards, sums of an episode."""

import math

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.compiled import compiled

__all__ = ["BRAKES", "DISOBEYS", "SUMS", "commands", "judge"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int8]

# Sums of an episode: passages through the duct and their time; then over steps: agents in collision, and means over
# agents of the squared command, of |density - 1| and of whose smoothing length does not fit its density
TRANSITS, TIME, COLLISIONS, EFFORT, UNEVENNESS, UNSETTLED, STEPS = range(7)
SUMS = 7
MISFIT = 0.1  # share by which a smoothing length may be off
DISOBEYS, BRAKES = 1, 2  # roles of agents other than 0


@compiled
def commands(actions: Array, agents: Array, unit: float, residual: bool, role: NDArray[np.int8]) -> Array:
    """Accelerations [W, A, D] for actions [W, A, D] in units of ``unit``; as a residual, beside what agents sense."""
    told = np.zeros(actions.shape)
    for w in range(actions.shape[0]):
        for i in range(actions.shape[1]):
            if role[w, i] == BRAKES:
                told[w, i, 0] = -unit
            elif role[w, i] != DISOBEYS:
                for d in range(actions.shape[2]):
                    told[w, i, d] = actions[w, i, d] * unit
                    if residual:
                        told[w, i, d] += agents[w, i, at.PUSH + d] + agents[w, i, at.DRAG + d]
    return told


@compiled
def judge(
    active: Mask, now: Array, before: Places, place: Places, agents: Array, told: Array, near: Array, duct: bool,
    sound: float, unit: float, fit: float, close: float, energy_weight: float, collision_weight: float,
    since: Array, sums: Array,
) -> tuple[Array, Array, Mask, NDArray[np.int64]]:  # fmt: skip
    """Mean rewards [W], rewards [W, A], who was inside before and after [W, A], and agents in collision [W].

    Args:
        active: [W]; others are left out, with zeros. now: [W], time.
        before, place: [W, A], where agents were before the step and are now.
        agents: [W, A, columns]. told: [W, A, D], commands. near: [W, A], distance of the nearest agent.
        duct: whether agents fly along one. sound: c0. unit: acceleration of an action of 1.
        fit: h at density 1.
        close: a collision is nearer. energy_weight, collision_weight: of the rewards.
        since: [W, A], when an agent came inside, or NaN; changed. sums: [W, SUMS]; changed.
    """
    worlds, pool = place.shape
    rewards, still = np.zeros((worlds, pool)), np.zeros((worlds, pool), np.bool_)
    least, most = (1.0 - MISFIT) ** told.shape[2], (1.0 + MISFIT) ** told.shape[2]
    means, collisions = np.zeros(worlds), np.zeros(worlds, np.int64)
    for w in range(worlds):
        if not active[w]:
            continue
        number, all_effort, all_uneven, misfits = 0, 0.0, 0.0, 0
        for i in range(pool):
            if duct:
                if before[w, i] == at.INLET and place[w, i] == at.INSIDE:
                    since[w, i] = now[w]
                elif before[w, i] == at.INSIDE and place[w, i] == at.OUTLET and not math.isnan(since[w, i]):
                    sums[w, TRANSITS] += 1.0
                    sums[w, TIME] += now[w] - since[w, i]
                    since[w, i] = math.nan
            if before[w, i] != at.INSIDE or place[w, i] != at.INSIDE:
                continue
            still[w, i] = True
            number += 1
            effort = 0.0
            for d in range(told.shape[2]):
                effort += told[w, i, d] ** 2
            effort /= unit * unit
            rho = agents[w, i, at.RHO]
            uneven = abs(rho - 1.0)
            gain = agents[w, i, at.VELOCITY] / sound if duct else -uneven
            rewards[w, i] = gain - energy_weight * effort
            if near[w, i] < close:
                rewards[w, i] -= collision_weight
                collisions[w] += 1
            all_effort += effort
            all_uneven += uneven
            share = rho  # (h / wanted h)^D
            for _ in range(told.shape[2]):
                share *= agents[w, i, at.H] / fit
            misfits += not least <= share <= most
        share = 1.0 / max(number, 1)
        means[w] = share * rewards[w].sum()
        sums[w, COLLISIONS] += collisions[w]
        sums[w, EFFORT] += all_effort * share
        sums[w, UNEVENNESS] += all_uneven * share
        sums[w, UNSETTLED] += misfits * share
        sums[w, STEPS] += 1.0
    return means, rewards, still, collisions
