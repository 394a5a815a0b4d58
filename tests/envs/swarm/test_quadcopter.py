"""Vehicles: lags against their closed forms, quadcopters against rigid bodies by hand and PyBullet."""

import numpy as np
import psutil
import pytest

from agentgym.envs.swarm.bullet import BulletDrones
from agentgym.envs.swarm.fluid import Arena, Fluid, Physics
from agentgym.envs.swarm.quadcopter import CRAZYFLIE, fly, lag_of, level, push
from agentgym.errors import InvalidParameter, NonFinite

BARE = CRAZYFLIE._replace(drag=0.0, drag_z=0.0)


def alone(steps: int, **physics: object) -> tuple[np.ndarray, float]:
    """Speeds of one vehicle that is told 2 m/s^2 along x from rest, and the time step."""
    fluid = Fluid(1, Arena(2), 1.0, Physics(**physics), pool=1)  # type: ignore[arg-type]
    fluid.put(0, [[0.0, 0.0]])
    fluid.look()
    speeds = []
    for _ in range(steps):
        fluid.advance(1, np.array([[[2.0, 0.0]]]))
        speeds.append(float(fluid["velocities"][0, 0, 0]))
    return np.array(speeds), fluid.dt


def test_lags_are_exact() -> None:
    lag = 0.7
    speeds, dt = alone(40, vehicle="acceleration", lag=lag)
    t = dt * np.arange(1, 41)
    np.testing.assert_allclose(speeds, 2 * (t - lag * (1 - np.exp(-t / lag))), rtol=1e-9)
    np.testing.assert_allclose(alone(40, vehicle="velocity", lag=lag)[0], 2 * t, rtol=1e-9)  # the exact inverse
    trailing = alone(40, vehicle="velocity", lag=lag, inverse=False)[0]
    assert (trailing < 2 * t).all()
    np.testing.assert_allclose(trailing, 2 * (t - lag * (1 - np.exp(-t / lag))), atol=2 * dt)
    second = alone(200, vehicle="second-order", lag=0.2, damping_ratio=0.7)[0]
    assert 2 * 200 * dt - second[-1] == pytest.approx(2 * 2 * 0.7 * 0.2, rel=1e-3)  # 2 zeta lag behind
    np.testing.assert_allclose(alone(5, most=1.0)[0], t[:5], rtol=1e-12)


def test_hover_is_held_and_a_fall_is_free() -> None:
    state = level([[0, 0, 1.0], [3, 1, 2]])
    fly(state, np.zeros((2, 3)), 2.0)
    np.testing.assert_allclose(state, level([[0, 0, 1.0], [3, 1, 2]]), atol=1e-9)
    state = level([[0, 0, 0.0]])
    for _ in range(240):
        push(state, np.zeros((1, 4)), 1 / 240, BARE, np.zeros(3))
    assert state[0, 5] == pytest.approx(-9.81, rel=1e-9)


def test_torque_free_rotation_keeps_energy_and_angular_momentum() -> None:
    state = level([[0, 0, 0.0]])
    state[0, 10:] = 3.0, 0.5, 4.0
    inertia = np.array([BARE.inertia, BARE.inertia, BARE.inertia_z])
    before = (inertia * state[0, 10:] ** 2).sum()
    for _ in range(2000):
        push(state, np.zeros((1, 4)), 1e-4, BARE, np.zeros(3))
    assert (inertia * state[0, 10:] ** 2).sum() == pytest.approx(before, rel=2e-3)
    assert state[0, 12] == pytest.approx(4.0, rel=1e-12)  # about the axis of symmetry
    assert np.linalg.norm(state[0, 6:10]) == pytest.approx(1, abs=1e-12)


def test_accelerations_are_followed_within_the_limits() -> None:
    told = np.array([[1.0, -2.0, 0.5], [50.0, 0.0, 0.0]])
    state = level(np.zeros((2, 3)))
    fly(state, told, 1.0, BARE)
    before = state[:, 3:6].copy()
    fly(state, told, 0.5, BARE)
    reached = (state[:, 3:6] - before) / 0.5
    np.testing.assert_allclose(reached[0], told[0], atol=0.05)
    assert reached[1, 0] == pytest.approx(9.81 * np.tan(BARE.most_tilt), rel=0.02)
    assert abs(reached[1, 2]) < 0.3
    assert lag_of(size=0.2) == pytest.approx(1 / BARE.attitude_gain, rel=0.01)


def test_wind_and_drag_share_one_relative_velocity() -> None:
    """In a wind that blows as fast as it flies a tilted, yawed drone feels no drag."""
    random = np.random.default_rng(0)
    state = level(np.zeros((5, 3)), np.array([3.0, -1.0, 0.5]))
    state[:, 6:10] = random.normal(size=(5, 4))
    state[:, 6:10] /= np.linalg.norm(state[:, 6:10], axis=1)[:, None]
    calm, rotors = state.copy(), np.tile([0.2, 0.0, 0.0, 0.0], (5, 1))
    push(state, rotors, 0.01, CRAZYFLIE, np.array([3.0, -1.0, 0.5]))
    push(calm, rotors, 0.01, BARE, np.zeros(3))
    np.testing.assert_allclose(state, calm, atol=1e-12)
    push(calm, rotors, 0.01, CRAZYFLIE, np.zeros(3))
    assert (np.abs(calm - state) > 1e-6).any()


def tumbling(count: int, seed: int = 1) -> np.ndarray:
    """Drones that move, are tilted and yawed, and spin."""
    random = np.random.default_rng(seed)
    state = level(np.zeros((count, 3)), random.normal(size=(count, 3)))
    state[:, 6:10] = random.normal(size=(count, 4))
    state[:, 6:10] /= np.linalg.norm(state[:, 6:10], axis=1)[:, None]
    state[:, 10:] = 3 * random.normal(size=(count, 3))
    return state


def apart(one: np.ndarray, other: np.ndarray) -> list[float]:
    """Largest differences of position (m), velocity (m/s), attitude (rad) and body rates (rad/s)."""
    same = np.abs((one[:, 6:10] * other[:, 6:10]).sum(axis=1))
    parts = [np.abs(one[:, k] - other[:, k]).max() for k in (slice(0, 3), slice(3, 6), slice(10, 13))]
    return [parts[0], parts[1], float(2 * np.arccos(np.minimum(same, 1)).max()), parts[2]]


def test_against_pybullet_tilted_yawed_spinning() -> None:
    """Half a second of free rigid bodies under steady rotors, with and without drag."""
    pytest.importorskip("pybullet")
    rotors = np.array([[0.3, 1e-5, -2e-5, 1e-5], [0.2, -1e-5, 1e-5, 0], [0.4, 0, 2e-5, -2e-5]])
    for frame in (BARE, CRAZYFLIE):
        state = tumbling(3)
        with BulletDrones(state, frame) as drones:
            for _ in range(120):
                push(state, rotors, 1 / 240, frame, np.zeros(3))
                drones.push(rotors)
            assert (np.array(apart(state, drones.state)) < 1e-6).all()


def test_a_single_drone_flies_as_pybullet_has_it() -> None:
    """The whole cascade, from a tumble into commands that change at 50 Hz, for 4 s."""
    pytest.importorskip("pybullet")
    random, state = np.random.default_rng(2), tumbling(1)
    with BulletDrones(state, rate=250.0) as drones:
        command, furthest = np.zeros((1, 3)), np.zeros(4)
        for _ in range(200):
            command = 0.9 * command + random.normal(size=(1, 3))
            fly(state, command, 0.02, rate=250.0)
            drones.fly(command, 0.02)
            furthest = np.maximum(furthest, apart(state, drones.state))
        assert (furthest < [1e-6, 1e-6, 1e-6, 1e-6]).all(), furthest
        assert np.linalg.norm(state[0, :3]) > 1  # it went somewhere


def test_memory_of_pybullet_is_flat_over_resets() -> None:
    pytest.importorskip("pybullet")
    process, state = psutil.Process(), tumbling(5)
    with BulletDrones(state) as drones:
        grown = []
        for k in range(1000):
            drones.put(state)
            drones.fly(np.zeros((5, 3)), 1 / 240)
            if k in (200, 999):
                grown.append(process.memory_info().rss)
        np.testing.assert_allclose(drones.state[:, 3:6], state[:, 3:6], atol=0.2)
    assert grown[1] - grown[0] < 1e6


def test_pybullet_refuses_bad_input() -> None:
    pytest.importorskip("pybullet")
    with pytest.raises(InvalidParameter, match="at most 100"):
        BulletDrones(np.zeros((101, 13)))
    with pytest.raises(NonFinite, match="state"):
        BulletDrones(np.full((1, 13), np.nan))
    with BulletDrones(level([[0.0, 0, 0]])) as drones, pytest.raises(NonFinite, match="command"):
        drones.fly(np.full((1, 3), np.nan), 0.02)


def swarm_of_quadcopters(**physics: object) -> Fluid:
    fluid = Fluid(1, Arena(2), 1.0, Physics(vehicle="quadcopter", **physics), pool=2)  # type: ignore[arg-type]
    fluid.put(0, [[0.0, 0.0], [30.0, 0.0]])
    fluid.look()
    return fluid


def test_quadcopters_of_a_swarm_are_those_flown_alone() -> None:
    """Commands of a time step, with the height controller and the drag made up for; the path bit by bit the same."""
    fluid = swarm_of_quadcopters(step=0.1)
    assert fluid.dt == pytest.approx(0.03)
    state = level([[0.0, 0, 0], [30, 0, 0]])
    frame = CRAZYFLIE._replace(height_gain=4.0, height_damping=3.0, known_drag=1.0)
    random = np.random.default_rng(0)
    for _ in range(60):
        command = np.concatenate((random.normal(size=(2, 2)), np.zeros((2, 1))), axis=1)
        fly(state, command, fluid.dt, frame, rate=7 / fluid.dt)
        fluid.advance(1, command[None, :, :2])
    np.testing.assert_allclose(fluid["positions"][0], state[:, :2], rtol=1e-9)
    np.testing.assert_allclose(fluid["velocities"][0], state[:, 3:5], rtol=1e-9)
    assert (np.abs(state[:, 2]) > 1e-6).all()  # tilting costs height, which is not the plane's
    assert (np.abs(state[:, 2]) < 0.1).all()


def test_known_drag_is_made_up_for() -> None:
    speeds = []
    for share in (1.0, 0.0):
        fluid = swarm_of_quadcopters(known_drag=share)
        fluid["velocities"][0, :, 0] = 3.0
        fluid.advance(100, np.zeros((1, 2, 2)))
        speeds.append(fluid["velocities"][0, 0, 0])
    assert speeds[0] == pytest.approx(3.0, rel=0.08)  # while it tilts into the wind it loses some
    assert speeds[1] == pytest.approx(3 * np.exp(-3 * CRAZYFLIE.drag / CRAZYFLIE.mass), rel=0.1)


def test_vehicles_without_a_lag_to_set_refuse_one() -> None:
    for vehicle in ("perfect", "quadcopter"):
        with pytest.raises(InvalidParameter, match="lag"):
            Physics(vehicle=vehicle, lag=0.1)  # type: ignore[arg-type]


def test_bad_input_is_named() -> None:
    state = level([[0, 0, 0.0]])
    with pytest.raises(NonFinite, match="command"):
        fly(state, np.array([[np.nan, 0, 0]]), 0.1)
    with pytest.raises(InvalidParameter, match="whole number"):
        fly(state, np.zeros((1, 3)), 0.013)
    with pytest.raises(InvalidParameter, match="positions"):
        level([0.0, 0.0, 0.0])
