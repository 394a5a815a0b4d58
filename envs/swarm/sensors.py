"""What an agent sees, and what is seen of a swarm as a whole."""

import math

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.compiled import compiled
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
        self.wall = self.flow.stop  # 1 - distance of the nearest wall or obstacle / 2.3 h as it is sensed, at least 0
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
    fluid, dimensions = world.fluid, world.setting.dimensions
    seen = np.zeros((world.count, fluid.pool, width(dimensions)), np.float32)
    _observe(fluid.agents, fluid.place, dimensions, 1 / world.setting.sound, 1 / world.unit, seen)
    return seen


@compiled
def _observe(
    agents: Array, place: NDArray[np.int8], dimensions: int, slowness: float, share: float, seen: NDArray[np.float32]
) -> None:
    """Write what :class:`Columns` names into ``seen`` [W, A, F]; slowness is 1 / c0, an action of 1 is 1 / share."""
    for w in range(place.shape[0]):
        for i in range(place.shape[1]):
            if place[w, i] != at.INSIDE:
                continue
            agent, own = agents[w, i], seen[w, i]
            own[0], own[1] = 1.0, math.log(max(agent[at.RHO], 1e-6))
            own[2], own[3] = math.sqrt(agent[at.SPREAD]) * slowness, agent[at.DIVERGENCE] * agent[at.H] * slowness
            own[4 + 4 * dimensions] = agent[at.NEARNESS]
            for d in range(dimensions):
                velocity = agent[at.VELOCITY + d]
                own[4 + d], own[4 + dimensions + d] = agent[at.PUSH + d] * share, agent[at.DRAG + d] * share
                own[4 + 2 * dimensions + d] = velocity * slowness
                own[4 + 3 * dimensions + d] = (agent[at.FLOW + d] - velocity) * slowness
                if agent[at.NEARNESS] > 0.0:
                    own[5 + 4 * dimensions + d] = agent[at.NORMAL + d]


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
