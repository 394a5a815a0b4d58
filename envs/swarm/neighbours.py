"""Agents and their mirror images in the order of a fixed grid of cells.

The grid does not depend on where the agents are, so what one agent sums over its neighbours, and in which order, does
not depend on agents that it cannot sense: moving one of those leaves the sum as it was, bit for bit. Agents beyond the
grid count to its border cells. There are no buffers to overflow.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.compiled import inner
from agentgym.envs.swarm.duct import profile_at, wall_foot

__all__ = ["Grid", "Sorted", "Walls", "nearest_obstacle", "nearest_wall", "sort_agents"]

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

NONE, DUCT, DISC = 0, 1, 2
MIRROR_REACH = 2.3  # agents within so many h of a wall have a mirror image
CLEARANCE = 0.05  # nearest that an agent is taken to be to a wall, in h


class Walls(NamedTuple):
    """What agents cannot pass; compiled functions read it.

    Attributes:
        kind: NONE, DUCT or DISC (agents stay inside a circle or sphere about the origin).
        step, coefficients: of the duct's profile, see :class:`agentgym.envs.swarm.duct.Duct`. steepest: its slope.
        radius: of the disc.
        obstacles: float64 [K, 4], centres (x, y, z) and radii of cylinders along z (2-D) or spheres (3-D).
    """

    kind: int
    step: float
    coefficients: Array
    steepest: float
    radius: float
    obstacles: Array


class Grid(NamedTuple):
    """A grid of cubic cells.

    Attributes:
        x, y, z: lowest corner.
        cell: edge of a cell.
        nx, ny, nz: numbers of cells.
    """

    x: float
    y: float
    z: float
    cell: float
    nx: int
    ny: int
    nz: int


class Sorted(NamedTuple):
    """Agents and mirror images, cell by cell, within a cell in the order of their numbers.

    Attributes:
        starts: int64 [cells + 1], where each cell's agents begin.
        owner: int64 [S], the agent's number; of a mirror image the mirrored agent's.
        real: bool [S], whether it is no image.
        body: float64 [S, 7], position (3), velocity (3), h.
        origin: [S, 3], the owner's position.
    """

    starts: Ints
    owner: Ints
    real: NDArray[np.bool_]
    body: Array
    origin: Array


@inner
def nearest_wall(x: float, y: float, z: float, reach: float, walls: Walls) -> tuple[float, float, float, float]:
    """Signed distance from the outer wall and the inward normal there; infinitely far where it is beyond ``reach``."""
    if walls.kind == DUCT:
        r = math.sqrt(y * y + z * z)
        # The wall is nowhere steeper than ``steepest``, so it is at least so far away
        if profile_at(x, walls.step, walls.coefficients)[0] - r > reach * math.sqrt(1.0 + walls.steepest**2):
            return math.inf, 0.0, 0.0, 0.0
        distance, along, across = wall_foot(x, r, walls.step, walls.coefficients)
        if r < 1e-300:
            return distance, along, across, 0.0
        return distance, along, across * y / r, across * z / r
    if walls.kind == DISC:
        r = math.sqrt(x * x + y * y + z * z)
        if r < 1e-300:
            return walls.radius, -1.0, 0.0, 0.0
        return walls.radius - r, -x / r, -y / r, -z / r
    return math.inf, 0.0, 0.0, 0.0


@inner
def nearest_obstacle(x: float, y: float, z: float, walls: Walls) -> tuple[float, float, float, float]:
    """Signed distance from the nearest obstacle and its outward normal; infinitely far where there is none."""
    best, nx, ny, nz = math.inf, 0.0, 0.0, 0.0
    for k in range(walls.obstacles.shape[0]):
        dx, dy, dz = x - walls.obstacles[k, 0], y - walls.obstacles[k, 1], z - walls.obstacles[k, 2]
        r = math.sqrt(dx * dx + dy * dy + dz * dz)
        if r - walls.obstacles[k, 3] < best:
            best = r - walls.obstacles[k, 3]
            if r < 1e-300:
                nx, ny, nz = 1.0, 0.0, 0.0
            else:
                nx, ny, nz = dx / r, dy / r, dz / r
    return best, nx, ny, nz


@inner
def _cell(at: float, low: float, size: float, count: int) -> int:
    place = (at - low) / size
    if place < 0.0:
        return 0
    if place >= count:
        return count - 1
    return int(place)


@inner
def cells_within(x: float, y: float, z: float, reach: float, grid: Grid) -> tuple[int, int, int, int, int, int]:
    """First and last cells along x, y and z that a ball of radius ``reach`` touches."""
    return (
        _cell(x - reach, grid.x, grid.cell, grid.nx), _cell(x + reach, grid.x, grid.cell, grid.nx),
        _cell(y - reach, grid.y, grid.cell, grid.ny), _cell(y + reach, grid.y, grid.cell, grid.ny),
        _cell(z - reach, grid.z, grid.cell, grid.nz), _cell(z + reach, grid.z, grid.cell, grid.nz),
    )  # fmt: skip


@inner
def _mirror(body: Array, total: int, i: int, distance: float, normal: tuple[float, float, float]) -> None:
    """Write agent i's image in a wall as number ``total``: the normal velocity is reversed."""
    speed = body[i, 3] * normal[0] + body[i, 4] * normal[1] + body[i, 5] * normal[2]
    for d in range(3):
        body[total, d] = body[i, d] - 2.0 * distance * normal[d]
        body[total, 3 + d] = body[i, 3 + d] - 2.0 * speed * normal[d]
    body[total, 6] = body[i, 6]


@inner
def sort_agents(agents: Array, place: NDArray[np.int8], lead: float, walls: Walls, grid: Grid) -> Sorted:
    """Gather the agents that are present, where they will be after the time ``lead``, mirror them, sort them by cell.

    An agent is mirrored about the foot of its own perpendicular on the wall. Writes how near the wall is.

    Args:
        agents: [A, columns], see columns.py; changed.
        place: [A].
        lead: time.
        walls, grid: of the world.
    """
    room = 0
    for i in range(agents.shape[0]):
        room += place[i] != at.ABSENT
    room *= 1 + (walls.kind != NONE) + (walls.obstacles.shape[0] > 0)
    body, origin, owner = np.empty((room, 7)), np.empty((room, 3)), np.empty(room, np.int64)
    real = 0
    for i in range(agents.shape[0]):
        if place[i] != at.ABSENT:
            for d in range(3):
                body[real, d] = (
                    agents[i, at.POSITION + d] + agents[i, at.BLUR + d] + lead * agents[i, at.VELOCITY + d]
                )  # fmt: skip
                body[real, 3 + d] = agents[i, at.VELOCITY + d]
                origin[real, d] = body[real, d]
            owner[real], body[real, 6] = i, agents[i, at.H]
            real += 1
    total = real
    if walls.kind != NONE or walls.obstacles.shape[0] > 0:
        for i in range(real):
            reach, a = MIRROR_REACH * body[i, 6], owner[i]
            agents[a, at.NEARNESS] = 0.0
            for which in range(2):
                if which == 0:
                    distance, nx, ny, nz = nearest_wall(body[i, 0], body[i, 1], body[i, 2], reach, walls)
                else:
                    distance, nx, ny, nz = nearest_obstacle(body[i, 0], body[i, 1], body[i, 2], walls)
                if distance < CLEARANCE * body[i, 6]:  # predicted or sensed in the wall
                    for d, along in ((0, nx), (1, ny), (2, nz)):
                        body[i, d] += (CLEARANCE * body[i, 6] - distance) * along
                        origin[i, d] = body[i, d]
                    distance = CLEARANCE * body[i, 6]
                if distance < reach:
                    if 1.0 - distance / reach > agents[a, at.NEARNESS]:
                        agents[a, at.NEARNESS] = 1.0 - distance / reach
                        agents[a, at.NORMAL], agents[a, at.NORMAL + 1], agents[a, at.NORMAL + 2] = nx, ny, nz
                    _mirror(body, total, i, distance, (nx, ny, nz))
                    for d in range(3):
                        origin[total, d] = body[i, d]
                    owner[total] = owner[i]
                    total += 1
    return _by_cell(body, origin, owner, real, total, grid)


@inner
def _by_cell(body: Array, origin: Array, owner: Ints, real: int, total: int, grid: Grid) -> Sorted:
    """Counting sort: stable, so that the order within a cell is that of the numbers."""
    starts, cell = np.zeros(grid.nx * grid.ny * grid.nz + 1, np.int64), np.empty(total, np.int64)
    for s in range(total):
        ix = _cell(body[s, 0], grid.x, grid.cell, grid.nx)
        iy = _cell(body[s, 1], grid.y, grid.cell, grid.ny)
        iz = _cell(body[s, 2], grid.z, grid.cell, grid.nz)
        cell[s] = (iz * grid.ny + iy) * grid.nx + ix
        starts[cell[s] + 1] += 1
    for c in range(starts.shape[0] - 1):
        starts[c + 1] += starts[c]
    free = starts[:-1].copy()
    found = Sorted(
        starts, np.empty(total, np.int64), np.empty(total, np.bool_), np.empty((total, 7)), np.empty((total, 3))
    )
    for s in range(total):
        place = free[cell[s]]
        free[cell[s]] += 1
        found.owner[place], found.real[place] = owner[s], s < real
        for d in range(7):
            found.body[place, d] = body[s, d]
        for d in range(3):
            found.origin[place, d] = origin[s, d]
    return found
