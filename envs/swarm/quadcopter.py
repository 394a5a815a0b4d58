"""Full quadcopters, many at once: rigid bodies with four rotors under a cascade of controllers.

State of a drone, float64 [13]: position (3), velocity (3), attitude quaternion w, x, y, z (4), body rates (3). World
axes have z up; the body's thrust acts along its own z. Rotors are at 45 degrees in the cross configuration. Parameters
are those of the Crazyflie 2.x (after Förster, System Identification of the Crazyflie 2.0, ETH Zürich, 2015; recalled,
not checked against the thesis), with the drag of its rotors at hovering speed.

The cascade: a commanded acceleration gives thrust and attitude (Mellinger and Kumar, ICRA 2011), the attitude's error
gives body rates, the rates' error torques, and the mixer rotor speeds within their limits. A height controller holds
the plane of two-dimensional swarms.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.finite import require_finite
from agentgym.contracts.settings import finite_number
from agentgym.envs.swarm.compiled import compiled, inner
from agentgym.errors import InvalidParameter

__all__ = ["CRAZYFLIE", "Airframe", "axes", "fly", "fly_one", "lag_of", "level", "push", "rotors"]

Array = NDArray[np.float64]
GRAVITY = 9.81


class Airframe(NamedTuple):
    """A quadcopter and its controllers; compiled functions read it.

    Attributes:
        mass: kg. arm: from the centre to a rotor, m. inertia: about x (and y) and about z, kg m^2.
        thrust_factor: of a rotor, N / (rad/s)^2. torque_factor: N m / (rad/s)^2. most_speed: of a rotor, rad/s.
        drag: linear, along the body's x and y and along z, N s / m.
        most_tilt: rad. attitude_gain: 1/s, body rate an attitude error. rate_gain: 1/s, angular acceleration a rate
            error. most_rate: rad/s.
        height_gain, height_damping: 1/s^2 and 1/s, of the height controller; 0: the command alone counts.
        known_drag: share of the rotors' drag in calm air that is added to commands.
    """

    mass: float
    arm: float
    inertia: float
    inertia_z: float
    thrust_factor: float
    torque_factor: float
    most_speed: float
    drag: float
    drag_z: float
    most_tilt: float
    attitude_gain: float
    rate_gain: float
    most_rate: float
    height_gain: float
    height_damping: float
    known_drag: float


PER_MINUTE = 2 * math.pi / 60  # a turn a minute in rad/s
CRAZYFLIE = Airframe(
    mass=0.027, arm=0.0397, inertia=1.4e-5, inertia_z=2.17e-5, thrust_factor=3.16e-10 / PER_MINUTE**2,
    torque_factor=7.94e-12 / PER_MINUTE**2, most_speed=21702.6 * PER_MINUTE, drag=5.6e-3, drag_z=6.2e-3, most_tilt=0.6,
    attitude_gain=12.0, rate_gain=40.0, most_rate=10.0, height_gain=0.0, height_damping=0.0,
    known_drag=0.0,
)  # fmt: skip


def level(positions: Array, velocities: Array | float = 0.0) -> Array:
    """Drones that hover level at positions [N, 3]: states [N, 13]."""
    positions = np.asarray(positions, np.float64)
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise InvalidParameter(f"Quadcopters have positions [N, 3], not {list(positions.shape)}.")
    state = np.zeros((len(positions), 13))
    state[:, :3], state[:, 3:6], state[:, 6] = positions, velocities, 1.0
    return state


def fly(
    state: Array, command: Array, seconds: float, airframe: Airframe = CRAZYFLIE, rate: float = 240.0,
    wind: Array | None = None,
) -> None:  # fmt: skip
    """Advance drones in place under accelerations that are held.

    Args:
        state: [N, 13].
        command: [N, 3], accelerations in the world's axes, m/s^2.
        seconds: how long; a whole number of steps of physics.
        airframe: what flies.
        rate: steps of physics and of the inner loops a second, a number above 0.
        wind: [3], the air's velocity.

    Raises:
        NonFinite: a command or the wind is NaN or infinite.
        InvalidParameter: the time is no whole number of steps.
    """
    require_finite("the command", command)
    air = np.zeros(3) if wind is None else np.asarray(wind, np.float64)
    require_finite("the wind", air)
    steps = finite_number("seconds", seconds, 0) * finite_number("rate", rate, 0, above=True)
    if abs(steps - round(steps)) > 1e-6:
        raise InvalidParameter(f"{seconds} s are no whole number of steps of 1/{rate} s.")
    _fly(state, np.ascontiguousarray(command, np.float64), round(steps), 1.0 / rate, airframe, air)


def lag_of(airframe: Airframe = CRAZYFLIE, size: float = 1.0, rate: float = 240.0) -> float:
    """The inner loop's lag: the time constant of an exponential with the same area under a step's error, s.

    A hovering drone is told ``size`` m/s^2 along x; the integral of (command - acceleration) over the command is what
    the velocity lacks in the end over the command, so drag is left out.
    """
    still = airframe._replace(drag=0.0, drag_z=0.0)
    state, command = level(np.zeros((1, 3))), np.array([[size, 0.0, 0.0]])
    fly(state, command, 2.0, still, rate)
    return float(2.0 - state[0, 3] / size)


@compiled
def _fly(state: Array, command: Array, steps: int, dt: float, airframe: Airframe, air: Array) -> None:
    turned = np.empty(9)
    for n in range(state.shape[0]):
        fly_one(state[n], command[n], steps, dt, airframe, air, turned)


@inner
def fly_one(drone: Array, command: Array, steps: int, dt: float, airframe: Airframe, air: Array, turned: Array) -> None:
    """Advance one drone [13] by steps of physics under a command [3] that is held; ``turned`` [9] is room to work."""
    for _ in range(steps):
        _rotation(drone, turned)
        _integrate(drone, _control(drone, command, airframe, turned), dt, airframe, air, turned)


@compiled
def rotors(state: Array, command: Array, airframe: Airframe) -> Array:
    """What the inner loops ask of the rotors: thrusts and torques [N, 4] in the body's axes for commands [N, 3]."""
    turned, found = np.empty(9), np.empty((state.shape[0], 4))
    for n in range(state.shape[0]):
        _rotation(state[n], turned)
        found[n, 0], found[n, 1], found[n, 2], found[n, 3] = _control(state[n], command[n], airframe, turned)
    return found


@compiled
def push(state: Array, rotors: Array, dt: float, airframe: Airframe, air: Array) -> None:
    """One step of drones [N, 13] without inner loops, under thrusts and torques [N, 4] in the body's axes."""
    turned = np.empty(9)
    for n in range(state.shape[0]):
        _rotation(state[n], turned)
        given = (rotors[n, 0], rotors[n, 1], rotors[n, 2], rotors[n, 3])
        _integrate(state[n], given, dt, airframe, air, turned)


@compiled
def axes(state: Array) -> Array:
    """The bodies' axes in the world: rotation matrices [N, 3, 3] of states [N, 13]."""
    found = np.empty((state.shape[0], 3, 3))
    for n in range(state.shape[0]):
        _rotation(state[n], found[n].reshape(9))
    return found


@inner
def _rotation(drone: Array, out: Array) -> None:
    """The body's axes in the world, row by row of the rotation matrix."""
    w, x, y, z = drone[6], drone[7], drone[8], drone[9]
    out[0], out[1], out[2] = 1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)
    out[3], out[4], out[5] = 2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)
    out[6], out[7], out[8] = 2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)


@inner
def _control(
    drone: Array, told: Array, frame: Airframe, r: Array
) -> tuple[float, float, float, float]:  # fmt: skip
    """Inner loops: thrust and torques of the rotors for a commanded acceleration."""
    p, q, s = drone[10], drone[11], drone[12]
    # Thrust vector wanted, within the tilt
    known = frame.known_drag * frame.drag / frame.mass
    fx, fy = told[0] + known * drone[3], told[1] + known * drone[4]
    lift = max(told[2] + GRAVITY - frame.height_gain * drone[2] - frame.height_damping * drone[5], 0.2 * GRAVITY)
    side, most = math.sqrt(fx * fx + fy * fy), lift * math.tan(frame.most_tilt)
    shorter = 1.0 if side <= most else most / side
    fx, fy = fx * shorter, fy * shorter
    norm = math.sqrt(fx * fx + fy * fy + lift * lift)
    # Thrust along the body's z is the wanted vector's part along it
    thrust = frame.mass * max(fx * r[2] + fy * r[5] + lift * r[8], 0.0)
    # Attitude's error in the body's axes: cross product of the body's z and the wanted direction; yaw to zero
    ux, uy, uz = fx / norm, fy / norm, lift / norm
    bx = ux * r[0] + uy * r[3] + uz * r[6]
    by = ux * r[1] + uy * r[4] + uz * r[7]
    yaw = math.atan2(r[3], r[0])
    want_p = min(max(-frame.attitude_gain * by, -frame.most_rate), frame.most_rate)
    want_q = min(max(frame.attitude_gain * bx, -frame.most_rate), frame.most_rate)
    want_s = min(max(-0.3 * frame.attitude_gain * yaw, -frame.most_rate), frame.most_rate)
    tx = frame.inertia * frame.rate_gain * (want_p - p) + (frame.inertia_z - frame.inertia) * q * s
    ty = frame.inertia * frame.rate_gain * (want_q - q) + (frame.inertia - frame.inertia_z) * p * s
    tz = frame.inertia_z * 0.3 * frame.rate_gain * (want_s - s)
    return _mixed(thrust, tx, ty, tz, frame)


@inner
def _integrate(
    drone: Array, rotors: tuple[float, float, float, float], dt: float, frame: Airframe, air: Array, r: Array
) -> None:
    """One step of semi-implicit Euler under thrust and torques."""
    thrust, tx, ty, tz = rotors
    p, q, s = drone[10], drone[11], drone[12]
    # Newton and Euler; wind and drag share one relative velocity, in the body's axes
    vx, vy, vz = drone[3] - air[0], drone[4] - air[1], drone[5] - air[2]
    dx = -frame.drag * (r[0] * vx + r[3] * vy + r[6] * vz)
    dy = -frame.drag * (r[1] * vx + r[4] * vy + r[7] * vz)
    dz = -frame.drag_z * (r[2] * vx + r[5] * vy + r[8] * vz) + thrust
    drone[3] += dt * (r[0] * dx + r[1] * dy + r[2] * dz) / frame.mass
    drone[4] += dt * (r[3] * dx + r[4] * dy + r[5] * dz) / frame.mass
    drone[5] += dt * ((r[6] * dx + r[7] * dy + r[8] * dz) / frame.mass - GRAVITY)
    drone[10] += dt * (tx - (frame.inertia_z - frame.inertia) * q * s) / frame.inertia
    drone[11] += dt * (ty - (frame.inertia - frame.inertia_z) * p * s) / frame.inertia
    drone[12] += dt * tz / frame.inertia_z
    for d in range(3):
        drone[d] += dt * drone[3 + d]
    _turn(drone, dt)


@inner
def _mixed(thrust: float, tx: float, ty: float, tz: float, frame: Airframe) -> tuple[float, float, float, float]:
    """What four rotors within their limits make of a wanted thrust and torques.

    Rotors 1 to 4 are front right, back right, back left and front left, and turn in turn; speeds squared are clamped.
    """
    a = frame.arm / math.sqrt(2.0) * frame.thrust_factor
    base = thrust / (4.0 * frame.thrust_factor)
    x, y, z = tx / (4.0 * a), ty / (4.0 * a), tz / (4.0 * frame.torque_factor)
    most = frame.most_speed * frame.most_speed
    one = min(max(base - x - y - z, 0.0), most)
    two = min(max(base - x + y + z, 0.0), most)
    three = min(max(base + x + y - z, 0.0), most)
    four = min(max(base + x - y + z, 0.0), most)
    return (
        frame.thrust_factor * (one + two + three + four), a * (-one - two + three + four),
        a * (-one + two + three - four), frame.torque_factor * (-one + two - three + four),
    )  # fmt: skip


@inner
def _turn(drone: Array, dt: float) -> None:
    """Turn the attitude by the body rates, exactly for rates that are constant over dt."""
    p, q, s = drone[10], drone[11], drone[12]
    rate = math.sqrt(p * p + q * q + s * s)
    half = 0.5 * rate * dt
    k = 0.5 * dt if rate < 1e-12 else math.sin(half) / rate
    c, x, y, z = math.cos(half), k * p, k * q, k * s
    w0, x0, y0, z0 = drone[6], drone[7], drone[8], drone[9]
    drone[6] = w0 * c - x0 * x - y0 * y - z0 * z
    drone[7] = w0 * x + x0 * c + y0 * z - z0 * y
    drone[8] = w0 * y - x0 * z + y0 * c + z0 * x
    drone[9] = w0 * z + x0 * y - y0 * x + z0 * c
    norm = math.sqrt(drone[6] ** 2 + drone[7] ** 2 + drone[8] ** 2 + drone[9] ** 2)
    for d in range(6, 10):
        drone[d] /= norm
