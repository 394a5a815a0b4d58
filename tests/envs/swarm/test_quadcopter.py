"""Vehicles: lags against their closed forms, quadcopters against rigid bodies by hand and PyBullet."""

import numpy as np
import pytest

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


def test_against_pybullet_tilted_yawed_spinning() -> None:
    bullet = pytest.importorskip("pybullet")
    random = np.random.default_rng(1)
    state = level(np.zeros((3, 3)), random.normal(size=(3, 3)))
    state[:, 6:10] = random.normal(size=(3, 4))
    state[:, 6:10] /= np.linalg.norm(state[:, 6:10], axis=1)[:, None]
    state[:, 10:] = 3 * random.normal(size=(3, 3))
    client = bullet.connect(bullet.DIRECT)
    bullet.setGravity(0, 0, -9.81, physicsClientId=client)
    bullet.setTimeStep(1 / 240, physicsClientId=client)
    bodies = []
    for drone in state:
        turn = [*drone[7:10], drone[6]]
        body = bullet.createMultiBody(BARE.mass, basePosition=drone[:3], baseOrientation=turn, physicsClientId=client)
        bullet.changeDynamics(
            body, -1, localInertiaDiagonal=[BARE.inertia, BARE.inertia, BARE.inertia_z], linearDamping=0,
            angularDamping=0, physicsClientId=client,
        )  # fmt: skip
        axes = np.array(bullet.getMatrixFromQuaternion(turn)).reshape(3, 3)
        bullet.resetBaseVelocity(body, drone[3:6], axes @ drone[10:], physicsClientId=client)
        bodies.append(body)
    rotors = np.array([[0.3, 1e-5, -2e-5, 1e-5], [0.2, -1e-5, 1e-5, 0], [0.4, 0, 2e-5, -2e-5]])
    for _ in range(48):
        push(state, rotors, 1 / 240, BARE, np.zeros(3))
        for body, (thrust, *torque) in zip(bodies, rotors, strict=True):
            bullet.applyExternalForce(body, -1, [0, 0, thrust], [0, 0, 0], bullet.LINK_FRAME, physicsClientId=client)
            bullet.applyExternalTorque(body, -1, torque, bullet.LINK_FRAME, physicsClientId=client)
        bullet.stepSimulation(physicsClientId=client)
    for body, drone in zip(bodies, state, strict=True):
        at, turn = bullet.getBasePositionAndOrientation(body, physicsClientId=client)
        velocity, _ = bullet.getBaseVelocity(body, physicsClientId=client)
        np.testing.assert_allclose(drone[:3], at, atol=0.02)
        np.testing.assert_allclose(drone[3:6], velocity, atol=0.1)
        assert abs(np.dot(drone[[7, 8, 9, 6]], turn)) > np.cos(0.03)
    bullet.disconnect(client)


def test_bad_input_is_named() -> None:
    state = level([[0, 0, 0.0]])
    with pytest.raises(NonFinite, match="command"):
        fly(state, np.array([[np.nan, 0, 0]]), 0.1)
    with pytest.raises(InvalidParameter, match="whole number"):
        fly(state, np.zeros((1, 3)), 0.013)
    with pytest.raises(InvalidParameter, match="positions"):
        level([0.0, 0.0, 0.0])
