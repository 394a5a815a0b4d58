"""The same quadcopters as rigid bodies of PyBullet: the cross-check of quadcopter.py, for up to 100 drones.

PyBullet moves the bodies; the inner loops, the rotors' limits and the drag are those of quadcopter.py, since they are
the drone's and not the physics'. Needs the extra ``swarm``.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.finite import require_finite
from agentgym.contracts.settings import finite_number
from agentgym.envs.swarm.quadcopter import CRAZYFLIE, GRAVITY, Airframe, axes, rotors
from agentgym.errors import InvalidParameter, MissingExtra

__all__ = ["MOST", "BulletDrones"]

Array = NDArray[np.float64]
MOST = 100  # drones


class BulletDrones:
    """Drones that PyBullet moves; a context manager that ends its server.

    Args:
        state: float64 [N, 13], see :mod:`agentgym.envs.swarm.quadcopter`; at most :data:`MOST` drones.
        airframe: what flies.
        rate: steps of physics and of the inner loops a second.

    Raises:
        MissingExtra: PyBullet is not installed.
        InvalidParameter: the state has another shape, or there are too many drones.
        NonFinite: an entry is NaN or infinite.
    """

    def __init__(self, state: Array, airframe: Airframe = CRAZYFLIE, rate: float = 240.0) -> None:
        try:
            import pybullet
        except ImportError as missing:
            raise MissingExtra("pybullet", "swarm") from missing
        state = np.asarray(state, np.float64)
        if state.ndim != 2 or state.shape[1] != 13 or len(state) > MOST:
            raise InvalidParameter(f"PyBullet takes states [N, 13] of at most {MOST} drones, not {list(state.shape)}.")
        require_finite("the drones' state", state)
        self.airframe, self.rate = airframe, finite_number("rate", rate, 0, above=True)
        self._bullet: Any = pybullet
        self._client: int = pybullet.connect(pybullet.DIRECT)
        pybullet.setGravity(0, 0, -GRAVITY, physicsClientId=self._client)
        pybullet.setTimeStep(1 / rate, physicsClientId=self._client)
        inertia = [airframe.inertia, airframe.inertia, airframe.inertia_z]
        self._bodies = [pybullet.createMultiBody(airframe.mass, physicsClientId=self._client) for _ in state]
        for body in self._bodies:
            pybullet.changeDynamics(
                body, -1, localInertiaDiagonal=inertia, linearDamping=0, angularDamping=0,
                physicsClientId=self._client,
            )  # fmt: skip
        self.put(state)

    def put(self, state: Array) -> None:
        """Put all drones into states [N, 13]."""
        bullet, client = self._bullet, self._client
        for body, drone, turned in zip(self._bodies, state, axes(state), strict=True):
            at, turn = drone[:3].tolist(), drone[[7, 8, 9, 6]].tolist()
            bullet.resetBasePositionAndOrientation(body, at, turn, physicsClientId=client)
            bullet.resetBaseVelocity(
                body, drone[3:6].tolist(), (turned @ drone[10:]).tolist(), physicsClientId=client
            )  # fmt: skip

    @property
    def state(self) -> Array:
        """float64 [N, 13]: position, velocity, attitude (w, x, y, z), body rates."""
        bullet, client, found = self._bullet, self._client, np.empty((len(self._bodies), 13))
        for drone, body in zip(found, self._bodies, strict=True):
            drone[:3], turn = bullet.getBasePositionAndOrientation(body, physicsClientId=client)
            drone[6:10] = turn[3], *turn[:3]
            drone[3:6], drone[10:] = bullet.getBaseVelocity(body, physicsClientId=client)
        found[:, 10:] = np.einsum("nij,ni->nj", axes(found), found[:, 10:])  # into the body's axes
        return found

    def fly(self, command: Array, seconds: float) -> None:
        """Advance under accelerations [N, 3] that are held, as :func:`agentgym.envs.swarm.quadcopter.fly` does.

        Raises:
            NonFinite: a command is NaN or infinite.
            InvalidParameter: the time is no whole number of steps.
        """
        require_finite("the command", command)
        steps = finite_number("seconds", seconds, 0) * self.rate
        if abs(steps - round(steps)) > 1e-6:
            raise InvalidParameter(f"{seconds} s are no whole number of steps of 1/{self.rate} s.")
        for _ in range(round(steps)):
            state = self.state
            self.push(rotors(state, np.ascontiguousarray(command, np.float64), self.airframe), state)

    def push(self, given: Array, state: Array | None = None) -> None:
        """One step under thrusts and torques of the rotors [N, 4] in the body's axes, with drag in calm air."""
        bullet, client, frame = self._bullet, self._client, self.airframe
        state = self.state if state is None else state
        forces = np.einsum("nij,ni->nj", axes(state), state[:, 3:6]) * [-frame.drag, -frame.drag, -frame.drag_z]
        forces[:, 2] += given[:, 0]
        for body, force, torque in zip(self._bodies, forces.tolist(), given[:, 1:].tolist(), strict=True):
            bullet.applyExternalForce(body, -1, force, [0, 0, 0], bullet.LINK_FRAME, physicsClientId=client)
            bullet.applyExternalTorque(body, -1, torque, bullet.LINK_FRAME, physicsClientId=client)
        bullet.stepSimulation(physicsClientId=client)

    def close(self) -> None:
        """End the server; the drones are gone."""
        if self._client >= 0:
            self._bullet.disconnect(self._client)
            self._client = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *given: object) -> None:
        self.close()
