"""What flies: vehicles that follow a commanded acceleration, from perfect ones to ones with an inner loop.

Times in the duct's units. The quadcopter, which is its own machine, is in quadcopter.py.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm.compiled import inner

__all__ = ["ACCELERATION", "PERFECT", "SECOND_ORDER", "VEHICLES", "VELOCITY", "Vehicle", "accelerate_vehicle"]

Array = NDArray[np.float64]

PERFECT, ACCELERATION, VELOCITY, SECOND_ORDER = 0, 1, 2, 3
VEHICLES = {"perfect": PERFECT, "acceleration": ACCELERATION, "velocity": VELOCITY, "second-order": SECOND_ORDER}


class Vehicle(NamedTuple):
    """How vehicles answer; compiled functions read it.

    Attributes:
        kind: PERFECT; ACCELERATION, a' = (command - a) / lag; VELOCITY, v' = (command - v) / lag; or SECOND_ORDER,
            a'' = (command - a) / lag^2 - 2 damping a' / lag.
        lag: time constant.
        assumed_lag: what the outer loop takes it for where it inverts it.
        inverse: whether VELOCITY is commanded by the exact inverse of its lag over a step, v + a dt / (1 - exp(-dt /
            lag)); else the command is the integral of the commanded accelerations.
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
def accelerate_vehicle(
    vehicle: Vehicle, i: int, dt: float, command: Array, velocities: Array, memory: Array, rates: Array
) -> None:
    """Advance vehicle i's velocity by dt under a commanded acceleration [A, D].

    ``memory`` [A, D] is the acceleration (ACCELERATION, SECOND_ORDER) or the commanded velocity (VELOCITY); ``rates``
    [A, D] is the acceleration's rate (SECOND_ORDER). The lags of first order are exact for a command
    that is constant over dt.
    """
    dimensions = velocities.shape[1]
    shorter = 1.0
    if vehicle.most > 0.0:
        length = 0.0
        for d in range(dimensions):
            length += command[i, d] ** 2
        length = math.sqrt(length)
        if length > vehicle.most:
            shorter = vehicle.most / length
    for d in range(dimensions):
        asked = command[i, d] * shorter
        if vehicle.kind == PERFECT or vehicle.lag <= 0.0:
            velocities[i, d] += asked * dt
            memory[i, d] = velocities[i, d] if vehicle.kind == VELOCITY else asked
        elif vehicle.kind == ACCELERATION:
            # the mean over dt of an acceleration that goes exponentially to the command
            decay = math.exp(-dt / vehicle.lag)
            off = memory[i, d] - asked
            velocities[i, d] += asked * dt + off * vehicle.lag * (1.0 - decay)
            memory[i, d] = asked + off * decay
        elif vehicle.kind == VELOCITY:
            decay = math.exp(-dt / vehicle.lag)
            if vehicle.inverse:
                target = velocities[i, d] + asked * dt / (1.0 - math.exp(-dt / vehicle.assumed_lag))
            else:
                memory[i, d] += asked * dt
                target = memory[i, d]
            velocities[i, d] = target + (velocities[i, d] - target) * decay
        else:
            _second_order(vehicle, i, d, dt, asked, velocities, memory, rates)


@inner
def _second_order(
    vehicle: Vehicle, i: int, d: int, dt: float, asked: float, velocities: Array, memory: Array, rates: Array
) -> None:
    """Steps of the midpoint rule, at most a tenth of the lag, for a'' = (command - a) / lag^2 - 2 damping a' / lag."""
    steps = max(4, int(10.0 * dt / vehicle.lag) + 1)
    short = dt / steps
    a, rate, w = memory[i, d], rates[i, d], 1.0 / vehicle.lag
    for _ in range(steps):
        bend = (asked - a) * w * w - 2.0 * vehicle.damping * w * rate
        middle, middle_rate = a + 0.5 * short * rate, rate + 0.5 * short * bend
        bend = (asked - middle) * w * w - 2.0 * vehicle.damping * w * middle_rate
        velocities[i, d] += short * middle
        a, rate = a + short * middle_rate, rate + short * bend
    memory[i, d], rates[i, d] = a, rate
