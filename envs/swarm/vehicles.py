"""What flies: vehicles that follow a commanded acceleration, from perfect ones to ones with an inner loop.

Times in the duct's units. The quadcopter, which is its own machine, is in quadcopter.py.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.compiled import inner

__all__ = ["ACCELERATION", "FOLLOW_VELOCITY", "PERFECT", "SECOND_ORDER", "VEHICLES", "Vehicle", "accelerate_vehicle"]

Array = NDArray[np.float64]

PERFECT, ACCELERATION, FOLLOW_VELOCITY, SECOND_ORDER = 0, 1, 2, 3
VEHICLES = {"perfect": PERFECT, "acceleration": ACCELERATION, "velocity": FOLLOW_VELOCITY, "second-order": SECOND_ORDER}


class Vehicle(NamedTuple):
    """How vehicles answer; compiled functions read it.

    Attributes:
        kind: PERFECT; ACCELERATION, a' = (command - a) / lag; FOLLOW_VELOCITY, v' = (command - v) / lag; or
            SECOND_ORDER, a'' = (command - a) / lag^2 - 2 damping a' / lag.
        lag: time constant.
        assumed_lag: what the outer loop takes it for where it inverts it.
        inverse: whether FOLLOW_VELOCITY is commanded by the exact inverse of its lag over a step, v + a dt /
            (1 - exp(-dt / lag)); else the command is the integral of the commanded accelerations.
        damping: ratio of SECOND_ORDER.
        most: largest acceleration that can be commanded; 0: no limit. A longer command is shortened.
    """

    kind: int
    lag: float
    assumed_lag: float
    inverse: bool
    damping: float
    most: float


@inner
def accelerate_vehicle(vehicle: Vehicle, agent: Array, dt: float, command: Array) -> None:
    """Advance a vehicle's velocity by dt under a commanded acceleration [D].

    The lags of first order are exact for a command that is constant over dt.

    Args:
        vehicle: how it answers.
        agent: [columns]. Its memory is the acceleration (ACCELERATION, SECOND_ORDER) or the commanded velocity
            (at.VELOCITY); its rate that of the acceleration (SECOND_ORDER).
        dt: time.
        command: [D].
    """
    dimensions = command.shape[0]
    shorter = 1.0
    if vehicle.most > 0.0:
        length = 0.0
        for d in range(dimensions):
            length += command[d] ** 2
        shorter = min(vehicle.most / max(math.sqrt(length), 1e-300), 1.0)
    for d in range(dimensions):
        asked, v, m = command[d] * shorter, at.VELOCITY + d, at.MEMORY + d
        if vehicle.kind == PERFECT or vehicle.lag <= 0.0:
            agent[v] += asked * dt
            agent[m] = agent[v] if vehicle.kind == FOLLOW_VELOCITY else asked
        elif vehicle.kind == ACCELERATION:
            # the mean over dt of an acceleration that goes exponentially to the command
            decay = math.exp(-dt / vehicle.lag)
            off = agent[m] - asked
            agent[v] += asked * dt + off * vehicle.lag * (1.0 - decay)
            agent[m] = asked + off * decay
        elif vehicle.kind == FOLLOW_VELOCITY:
            if vehicle.inverse:
                target = agent[v] + asked * dt / (1.0 - math.exp(-dt / vehicle.assumed_lag))
            else:
                agent[m] += asked * dt
                target = agent[m]
            agent[v] = target + (agent[v] - target) * math.exp(-dt / vehicle.lag)
        else:
            _second_order(vehicle, agent, d, dt, asked)


@inner
def _second_order(vehicle: Vehicle, agent: Array, d: int, dt: float, asked: float) -> None:
    """Steps of the midpoint rule, at most a tenth of the lag, for a'' = (command - a) / lag^2 - 2 damping a' / lag."""
    steps = max(4, int(10.0 * dt / vehicle.lag) + 1)
    short = dt / steps
    a, rate, w = agent[at.MEMORY + d], agent[at.RATE + d], 1.0 / vehicle.lag
    for _ in range(steps):
        bend = (asked - a) * w * w - 2.0 * vehicle.damping * w * rate
        middle, middle_rate = a + 0.5 * short * rate, rate + 0.5 * short * bend
        bend = (asked - middle) * w * w - 2.0 * vehicle.damping * w * middle_rate
        agent[at.VELOCITY + d] += short * middle
        a, rate = a + short * middle_rate, rate + short * bend
    agent[at.MEMORY + d], agent[at.RATE + d] = a, rate
