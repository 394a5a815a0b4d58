"""What an agent sees, and what is seen of a swarm as a whole."""

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm.fluid import Fluid
from agentgym.envs.swarm.neighbours import DISC, DUCT
from agentgym.envs.swarm.presets import Swarm
from agentgym.envs.swarm.world import World

__all__ = ["Columns", "mirrored", "observe", "pooled", "spread_over_bins", "width"]

Array = NDArray[np.float64]


class Columns:
    """Where in an agent's observation [F] things stand, for D dimensions."""

    def __init__(self, dimensions: int) -> None:
        self.obeys = 0  # 1 where the agent is inside and acts, else everything is 0
        self.density = 1  # log of the density
        self.spread, self.divergence = 2, 3  # root of the kinetic temperature / c0; divergence h / c0
        self.push = slice(4, 4 + dimensions)  # acceleration by pressure, in units of an action of 1
        self.drag = slice(self.push.stop, self.push.stop + dimensions)  # by viscosity
        self.velocity = slice(self.drag.stop, self.drag.stop + dimensions)  # / c0
        self.flow = slice(self.velocity.stop, self.velocity.stop + dimensions)  # neighbours' mean less the own, / c0
        self.wall = self.flow.stop  # 1 - distance of the nearest wall or obstacle / 2.3 h, at least 0
        self.normal = slice(self.wall + 1, self.wall + 1 + dimensions)  # away from it; 0 where it is out of reach
        self.width = self.normal.stop


def width(dimensions: int) -> int:
    """F."""
    return Columns(dimensions).width


def mirrored(dimensions: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places and signs of an agent's observation in the world mirrored about the axis."""
    columns, signs = Columns(dimensions), np.ones(width(dimensions), np.float32)
    for part in (columns.push, columns.drag, columns.velocity, columns.flow, columns.normal):
        signs[part.start + 1] = -1.0
    return np.arange(width(dimensions)), signs


def observe(world: World) -> NDArray[np.float32]:
    """All agents' observations, float32 [W, A, F]; zeros of those that are not inside.

    In strict mode every entry follows from the agent's own state and what is within 2h of it; in symmetric mode
    ``push`` and ``drag`` need what is within 4h.
    """
    fluid, setting = world.fluid, world.setting
    columns, c0 = Columns(setting.dimensions), setting.sound
    inside = fluid.inside
    seen = np.zeros((*inside.shape, columns.width))
    seen[..., columns.obeys] = 1.0
    seen[..., columns.density] = np.log(np.maximum(fluid["rho"], 1e-6))
    seen[..., columns.spread] = np.sqrt(fluid["spread"]) / c0
    seen[..., columns.divergence] = fluid["divergence"] * fluid["h"] / c0
    seen[..., columns.push] = fluid["push"] / world.unit
    seen[..., columns.drag] = fluid["drag"] / world.unit
    seen[..., columns.velocity] = fluid["velocities"] / c0
    seen[..., columns.flow] = (fluid["flow"] - fluid["velocities"]) / c0
    near, normal = _walls(fluid, setting)
    seen[..., columns.wall] = near
    seen[..., columns.normal] = normal * (near > 0)[..., None]
    seen[~inside] = 0.0
    return seen.astype(np.float32)


def _walls(fluid: Fluid, setting: Swarm) -> tuple[Array, Array]:
    """Nearness of the nearest wall or obstacle [W, A] and the direction away from it [W, A, D]."""
    x = fluid["positions"]
    distance, normal = np.full(x.shape[:-1], np.inf), np.zeros(x.shape)
    if fluid.walls.kind == DUCT:
        duct = fluid.arena.duct
        assert duct is not None
        r = np.linalg.norm(x[..., 1:], axis=-1)
        tilt = (duct.half(x[..., 0] + 1e-3) - duct.half(x[..., 0] - 1e-3)) / 2e-3
        norm = np.sqrt(1 + tilt**2)
        distance = (duct.half(x[..., 0]) - r) / norm  # to first order
        normal[..., 0] = tilt / norm
        normal[..., 1:] = -x[..., 1:] / np.maximum(r, 1e-12)[..., None] / norm[..., None]
    elif fluid.walls.kind == DISC:
        r = np.linalg.norm(x, axis=-1)
        distance, normal = fluid.walls.radius - r, -x / np.maximum(r, 1e-12)[..., None]
    for circle in np.asarray(fluid.arena.obstacles).reshape(-1, setting.dimensions + 1):
        away = x - circle[:-1]
        r = np.linalg.norm(away, axis=-1)
        nearer = r - circle[-1] < distance
        distance = np.where(nearer, r - circle[-1], distance)
        normal = np.where(nearer[..., None], away / np.maximum(r, 1e-12)[..., None], normal)
    return np.clip(1 - distance / (2.3 * fluid.h), 0.0, 1.0), normal


def _bins(world: World) -> NDArray[np.int64]:
    """The bin along x of each agent [W, A]."""
    x = world.fluid["positions"][..., 0]
    duct, setting = world.arena.duct, world.setting
    share = (x + setting.radius) / (2 * setting.radius) if duct is None else x / duct.length
    return np.clip(share * setting.bins, 0, setting.bins - 1).astype(np.int64)


def pooled(world: World) -> NDArray[np.float32]:
    """Means over agents in bins along x, float32 [W, B, D + 3]: share of agents x B, log density, spread, velocity."""
    fluid, setting = world.fluid, world.setting
    bins, inside = setting.bins, fluid.inside
    place = _bins(world) + bins * np.arange(world.count)[:, None]
    place, total = place[inside], world.count * bins
    number = np.bincount(place, minlength=total)
    fields = [np.log(np.maximum(fluid["rho"], 1e-6)), np.sqrt(fluid["spread"]) / setting.sound]
    fields += [fluid["velocities"][..., d] / setting.sound for d in range(setting.dimensions)]
    means = [np.bincount(place, each[inside], total) / np.maximum(number, 1) for each in fields]
    share = number * bins / setting.agents
    return np.stack([share, *means], axis=-1).reshape(world.count, bins, -1).astype(np.float32)


def spread_over_bins(world: World, actions: Array) -> Array:
    """Actions of bins [W, B, D] as those of the agents in them [W, A, D]."""
    return np.take_along_axis(actions, _bins(world)[..., None], axis=1)
