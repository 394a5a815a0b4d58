"""How well a swarm flows: profiles along the duct, their errors against a reference, and what flying cost.

Every error is given four ways, since the choice of what to divide by alone moves it by a factor of five: raw, over the
reference's range, over its mean, and over its maximum.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from agentgym.contracts.settings import whole_number
from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.columns import CONTACTS, PASSED
from agentgym.envs.swarm.compiled import compiled
from agentgym.envs.swarm.duct import Duct
from agentgym.envs.swarm.fluid import Fluid
from agentgym.envs.swarm.nozzle import Flow

__all__ = ["FIELDS", "Profiles", "separations"]

Array = NDArray[np.float64]
FIELDS = ("u", "rho", "p", "T")
_SUMS = (*FIELDS, "spread", "number")


def separations(fluid: Fluid, world: int) -> Array:
    """Distance of each agent's nearest one [A], of where they are, which is not always where they are sensed."""
    if not fluid.physics.lead and not fluid["blur"][world].any():
        return fluid["nearest"][world]
    found, present = np.full(fluid.pool, np.inf), fluid.present[world]
    if present.sum() > 1:
        x = fluid["positions"][world, present]
        found[present] = cKDTree(x).query(x, 2)[0][:, 1]
    return found


class Profiles:
    """Means of u, rho, p, T over agents in bins along the duct and over time, for each of W worlds.

    ``spread``, the kinetic temperature (mean square velocity about the neighbours' mean, an axis), and ``count``, the
    density counted as agents a bin, are kept beside them.

    Args:
        fluid: whose worlds.
        bins: B, along the duct.

    Attributes:
        edges: float64 [B + 1].
        looks: int64 [W], how often each world has been looked at.
        nearest: float64 [W], least distance of two agents inside so far.
        fastest: float64 [W], largest acceleration told to an agent inside so far.
        effort: float64 [W], mean square acceleration told, summed over looks.
    """

    def __init__(self, fluid: Fluid, bins: int = 30) -> None:
        duct = fluid.arena.duct
        assert duct is not None
        self.duct: Duct = duct
        self.bins, self.mass = whole_number("bins", bins, 1), fluid.mass
        self.gamma, self.sound = fluid.gas.gamma, fluid.gas.sound
        self.edges = np.linspace(0.0, duct.length, bins + 1)
        self.sums = np.zeros((fluid.worlds, len(_SUMS), bins))
        self.looks = np.zeros(fluid.worlds, np.int64)
        self.nearest, self.fastest = np.full(fluid.worlds, np.inf), np.zeros(fluid.worlds)
        self.effort = np.zeros(fluid.worlds)

    def clear(self, world: int) -> None:
        """Forget what was seen of a world."""
        self.sums[world] = 0.0
        self.looks[world], self.nearest[world], self.fastest[world], self.effort[world] = 0, np.inf, 0.0, 0.0

    def add(self, fluid: Fluid, world: int, told: Array | None = None) -> None:
        """Look at a world as it is now; ``told`` [A, D] are accelerations, by default what agents sense."""
        accelerations = (fluid["push"] + fluid["drag"])[world] if told is None else told
        least, largest, square = _gather(
            fluid.agents[world], fluid.place[world], np.ascontiguousarray(accelerations),
            np.ascontiguousarray(separations(fluid, world)), self.duct.length, self.gamma / self.sound**2,
            self.sums[world],
        )  # fmt: skip
        self.looks[world] += 1
        self.nearest[world] = min(self.nearest[world], least)
        self.fastest[world] = max(self.fastest[world], largest)
        self.effort[world] += square

    def field(self, name: str, world: int) -> Array:
        """A field's means [B]; NaN in bins without agents. "count" is the density counted in bins, "mach" u over c."""
        number = self.sums[world, -1]
        if name == "count":
            x = np.linspace(self.edges[:-1], self.edges[1:], 33)
            volume = self.duct.area(x).mean(axis=0) * np.diff(self.edges)
            return number * self.mass / max(self.looks[world], 1) / volume
        if name == "mach":
            return self.field("u", world) / (self.sound * np.sqrt(self.field("T", world)))
        with np.errstate(invalid="ignore"):
            return self.sums[world, _SUMS.index(name)] / number

    def get_state(self) -> dict[str, Any]:
        """All sums, copied."""
        return {name: getattr(self, name).copy() for name in _STATE}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` gave."""
        for name in _STATE:
            getattr(self, name)[...] = state[name]

    def errors(self, flow: Flow, world: int) -> dict[str, float]:
        """Root mean square errors against a flow: ``u`` raw, ``u_range``, ``u_mean``, ``u_max``, and so on.

        NaN where a bin never had an agent.
        """
        found: dict[str, float] = {}
        for name in FIELDS:
            truth = flow.means(name, self.edges)
            error = float(np.sqrt(np.mean((self.field(name, world) - truth) ** 2)))
            found |= {
                name: error, f"{name}_range": error / float(np.ptp(truth)),
                f"{name}_mean": error / abs(float(truth.mean())), f"{name}_max": error / float(np.abs(truth).max()),
            }  # fmt: skip
        return found

    def measures(self, fluid: Fluid, flow: Flow, world: int) -> dict[str, Any]:
        """All numbers about a world: errors, flux, Mach numbers, separation, accelerations, contacts.

        ``flux_variation`` is the standard deviation over the mean, along x, of agents counted times their mean speed;
        ``separation`` is in spacings, ``acceleration`` the root mean square told, in c0^2 / h.
        """
        middle = (self.edges[1:] + self.edges[:-1]) / 2
        flux = self.field("count", world) * self.field("u", world) * self.duct.area(middle)
        mach, throat = self.field("mach", world), np.argsort(np.abs(middle - self.duct.throat))[:2]
        scale = self.sound**2 / fluid.h
        return {
            **self.errors(flow, world),
            "flux_variation": float(flux.std() / flux.mean()),
            "flux": float(flux.mean()),
            "mach_throat": float(mach[throat].mean()),
            "mach_exit": float(mach[-1]),
            "separation": float(self.nearest[world] / fluid.spacing),
            "acceleration": float(np.sqrt(self.effort[world] / max(self.looks[world], 1)) / scale),
            "fastest": float(self.fastest[world] / scale),
            "contacts": float(fluid.stations[world, CONTACTS]),
            "passed": float(fluid.stations[world, PASSED]),
            "agents": float(fluid.inside[world].sum()),
        }


_STATE = ("sums", "looks", "nearest", "fastest", "effort")


@compiled
def _gather(
    agents: Array, place: NDArray[np.int8], told: Array, near: Array, length: float, scale: float, sums: Array
) -> tuple[float, float, float]:
    """Add a world's agents inside to the sums [6, B] of their bins along the duct.

    Returns:
        the least distance of two agents, the largest command, and the mean square command.
    """
    bins = sums.shape[1]
    number, least, largest, total = 0, math.inf, 0.0, 0.0
    for i in range(place.shape[0]):
        if place[i] != at.INSIDE:
            continue
        b = min(max(int(agents[i, at.POSITION] / length * bins), 0), bins - 1)
        rho, p = agents[i, at.RHO], agents[i, at.PRESSURE]
        sums[0, b] += agents[i, at.VELOCITY]
        sums[1, b] += rho
        sums[2, b] += p
        sums[3, b] += scale * p / rho
        sums[4, b] += agents[i, at.SPREAD]
        sums[5, b] += 1.0
        square = 0.0
        for d in range(told.shape[1]):
            square += told[i, d] ** 2
        number += 1
        least, largest, total = min(least, near[i]), max(largest, square), total + square
    return least, math.sqrt(largest), total / max(number, 1)
