"""What flies: vehicles that follow a commanded acceleration, from perfect ones to ones with an inner loop.

Times in the duct's units. The quadcopter's rigid body and its cascade of controllers are in quadcopter.py.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.compiled import inner
from agentgym.envs.swarm.quadcopter import Airframe, fly_one

__all__ = [
    "ACCELERATION", "FOLLOW_VELOCITY", "PERFECT", "QUADCOPTER", "SECOND_ORDER", "VEHICLES", "Vehicle",
    "accelerate_vehicle", "fly_quadcopter", "level_off", "shorten",
]  # fmt: skip

Array = NDArray[np.float64]

PERFECT, ACCELERATION, FOLLOW_VELOCITY, SECOND_ORDER, QUADCOPTER = 0, 1, 2, 3, 4
VEHICLES = {
    "perfect": PERFECT, "acceleration": ACCELERATION, "velocity": FOLLOW_VELOCITY, "second-order": SECOND_ORDER,
    "quadcopter": QUADCOPTER,
}  # fmt: skip


class Vehicle(NamedTuple):
    """How vehicles answer; compiled functions read it.

    Attributes:
        kind: PERFECT; ACCELERATION, a' = (command - a) / lag; FOLLOW_VELOCITY, v' = (command - v) / lag;
            SECOND_ORDER, a'' = (command - a) / lag^2 - 2 damping a' / lag; or QUADCOPTER.
        lag: time constant.
        assumed_lag: what the outer loop takes it for where it inverts it.
        inverse: whether FOLLOW_VELOCITY is commanded by the exact inverse of its lag over a step, v + a dt /
            (1 - exp(-dt / lag)); else the command is the integral of the commanded accelerations.
        damping: ratio of SECOND_ORDER.
        most: largest acceleration that can be commanded; 0: no limit. A longer command is shortened.
        airframe: the quadcopter.
        beats: steps of a quadcopter's physics and inner loops in a time step.
    """

    kind: int
    lag: float
    assumed_lag: float
    inverse: bool
    damping: float
    most: float
    airframe: Airframe
    beats: int


@inner
def shorten(command: Array, most: float) -> None:
    """Shorten a command [D] that is longer than ``most``; 0 is no limit."""
    if most > 0.0:
        length = 0.0
        for d in range(command.shape[0]):
            length += command[d] ** 2
        if length > most * most:
            for d in range(command.shape[0]):
                command[d] *= most / math.sqrt(length)


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
    for d in range(dimensions):
        asked, v, m = command[d], at.VELOCITY + d, at.MEMORY + d
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


@inner
def fly_quadcopter(
    vehicle: Vehicle, agent: Array, dt: float, command: Array, drone: Array, told: Array, air: Array, turned: Array
) -> None:
    """Advance a quadcopter by dt under a commanded acceleration [D]: position, velocity, attitude and body rates.

    In a plane (D is 2) its own height controller holds it there.

    Args:
        vehicle: how it answers.
        agent: [columns].
        dt: time. The position is left where symplectic Euler, which follows, takes it to the right place.
        command: [D].
        drone, told, turned: [13], [3], [9], room to work.
        air: [3], zeros.
    """
    dimensions = command.shape[0]
    for d in range(3):
        drone[d], drone[3 + d] = agent[at.POSITION + d], agent[at.VELOCITY + d]
        told[d] = command[d] if d < dimensions else 0.0
    if dimensions == 2:
        drone[2], drone[5] = agent[at.HEIGHT], agent[at.CLIMB]
    for d in range(7):
        drone[6 + d] = agent[at.ATTITUDE + d]
    fly_one(drone, told, vehicle.beats, dt / vehicle.beats, vehicle.airframe, air, turned)
    for d in range(dimensions):
        agent[at.MEMORY + d] = (drone[3 + d] - agent[at.VELOCITY + d]) / dt
        agent[at.VELOCITY + d] = drone[3 + d]
        agent[at.POSITION + d] = drone[d] - dt * drone[3 + d]
    if dimensions == 2:
        agent[at.HEIGHT], agent[at.CLIMB] = drone[2], drone[5]
    for d in range(7):
        agent[at.ATTITUDE + d] = drone[6 + d]


@inner
def level_off(agent: Array) -> None:
    """A quadcopter flies level, in its plane, and does not turn."""
    for d in range(7):
        agent[at.ATTITUDE + d] = 1.0 if d == 0 else 0.0
    agent[at.HEIGHT], agent[at.CLIMB] = 0.0, 0.0
