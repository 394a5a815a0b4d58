"""Smoothed-particle hydrodynamics of one world: what each agent senses, and how it should accelerate.

Adaptive smoothing lengths with the Omega terms (Springel and Hernquist, MNRAS 333, 2002; Price, J. Comput. Phys. 231,
2012), Monaghan's viscosity with Balsara's switch. ``symmetric`` conserves momentum pairwise, for which an agent needs
its neighbours' densities, hence what is within 4h of it. ``strict`` uses nothing but the agent's own state and the
relative positions and velocities of agents within 2h.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.compiled import inner
from agentgym.envs.swarm.kernels import scale, shape, slope
from agentgym.envs.swarm.neighbours import Grid, Sorted, Walls, cells_within, sort_agents

__all__ = ["Gas", "Lists", "accelerate", "pressure_of", "sense", "sound_of"]

Array = NDArray[np.float64]


class Gas(NamedTuple):
    """The gas that the swarm imitates; compiled functions read it. The density far upstream is 1.

    Attributes:
        dimensions: 2 or 3.
        kernel: WENDLAND or CUBIC of :mod:`agentgym.envs.swarm.kernels`.
        gamma: exponent of p = K A rho^gamma.
        sound: c0, of the gas at density 1 and A = 1; K = c0^2 / gamma.
        tait: whether the pressure is counted from that at density 1 (with gamma 7, Tait's equation).
        energy: whether viscosity heats, so that A grows in shocks.
        strict: whether agents use their own state only.
        mass: of an agent. spacing: mass^(1 / dimensions), that of agents at density 1.
        eta: h in spacings of the agent's own density.
        alpha, beta: of the viscosity, linear and quadratic. damping: of the viscosity that acts both ways.
    """

    dimensions: int
    kernel: int
    gamma: float
    sound: float
    tait: bool
    energy: bool
    strict: bool
    mass: float
    spacing: float
    eta: float
    alpha: float
    beta: float
    damping: float


@inner
def pressure_of(rho: float, entropy: float, gas: Gas) -> float:
    """P at a density and an A."""
    k = gas.sound * gas.sound / gas.gamma
    p = k * entropy * rho**gas.gamma
    return p - k if gas.tait else p


@inner
def sound_of(rho: float, entropy: float, gas: Gas) -> float:
    """The speed of sound at a density and an A."""
    return gas.sound * math.sqrt(entropy * rho ** (gas.gamma - 1.0))


class Lists(NamedTuple):
    """Whom each sorted agent senses, itself included.

    Attributes:
        first: int64 [S + 1]; agent s senses ``who[first[s]:first[s + 1]]``, in the order of the grid.
        who: int32, sorted numbers.
        factor: float64, m F, so that the mass times the gradient of W is ``factor * (x_s - x_t)``.
    """

    first: NDArray[np.int64]
    who: NDArray[np.int32]
    factor: Array


@inner
def sense(
    agents: Array, place: NDArray[np.int8], lead: float, gas: Gas, walls: Walls, grid: Grid
) -> tuple[Sorted, Lists]:
    """First pass: densities, Omega, velocity gradients and spread; writes into ``agents`` [A, columns]."""
    found = sort_agents(agents, place, lead, walls, grid)
    total = found.owner.shape[0]
    first, who, factor = np.zeros(total + 1, np.int64), np.empty(48 * total + 64, np.int32), np.empty(48 * total + 64)
    count = 0
    for s in range(total):
        if found.real[s] or not gas.strict:
            who, factor, count = _within(s, found, grid, who, factor, count)
            _sum(s, found.owner[s], found.real[s], found.real, found.body, gas, who, factor, first[s], count, agents)
        first[s + 1] = count
    return found, Lists(first, who, factor)


@inner
def _within(
    s: int, found: Sorted, grid: Grid, who: NDArray[np.int32], factor: Array, count: int
) -> tuple[NDArray[np.int32], Array, int]:
    """Append whom s senses to ``who``, and the squared distances to ``factor``; the arrays grow where they must.

    An image of an agent beyond 2h counts no more than the agent itself, which has not been sensed: both distances must
    be below 2h. Images do not sense images.
    """
    reach2, image = 4.0 * found.body[s, 6] * found.body[s, 6], not found.real[s]
    x, y, z = found.body[s, 0], found.body[s, 1], found.body[s, 2]
    ox, oy, oz = found.origin[s, 0], found.origin[s, 1], found.origin[s, 2]
    x0, x1, y0, y1, z0, z1 = cells_within(x, y, z, 2.0 * found.body[s, 6], grid)
    for iz in range(z0, z1 + 1):
        for iy in range(y0, y1 + 1):
            row = (iz * grid.ny + iy) * grid.nx
            start, stop = found.starts[row + x0], found.starts[row + x1 + 1]
            while count + stop - start > who.shape[0]:
                who, factor = _doubled(who, factor)
            for t in range(start, stop):
                dx, dy, dz = x - found.body[t, 0], y - found.body[t, 1], z - found.body[t, 2]
                ex, ey, ez = ox - found.origin[t, 0], oy - found.origin[t, 1], oz - found.origin[t, 2]
                r2 = dx * dx + dy * dy + dz * dz
                who[count], factor[count] = t, r2
                near = (r2 < reach2) & (ex * ex + ey * ey + ez * ez < reach2)
                count += near & (found.real[t] | (not image))
    return who, factor, count


@inner
def _sum(
    s: int, i: int, real: bool, reals: NDArray[np.bool_], body: Array, gas: Gas, who: NDArray[np.int32],
    factor: Array, start: int, stop: int, agents: Array,
) -> None:  # fmt: skip
    """Turn the squared distances into factors of gradients and, of agents that are no image, sum over neighbours."""
    size, dimensions, kernel = body[s, 6], gas.dimensions, gas.kernel
    inverse = 1.0 / size
    norm = gas.mass * scale(kernel, dimensions, size)
    steepness = norm * inverse * inverse
    if not real:
        for k in range(start, stop):
            factor[k] = steepness * slope(kernel, math.sqrt(factor[k]) * inverse)
        return
    x, y, z, u, v, w = body[s, 0], body[s, 1], body[s, 2], body[s, 3], body[s, 4], body[s, 5]
    rho, change, divergence, energy, closest = 0.0, 0.0, 0.0, 0.0, 4.0 * size * size
    curl_x, curl_y, curl_z, mean_x, mean_y, mean_z = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(start, stop):
        t, r2 = who[k], factor[k]
        if r2 < closest and t != s and reals[t]:
            closest = r2
        q = math.sqrt(r2) * inverse
        weight, steep = shape(kernel, q), slope(kernel, q)
        factor[k] = steepness * steep
        dx, dy, dz = x - body[t, 0], y - body[t, 1], z - body[t, 2]
        vx, vy, vz = u - body[t, 3], v - body[t, 4], w - body[t, 5]
        rho += weight
        change += dimensions * weight + q * q * steep
        divergence += steep * (vx * dx + vy * dy + vz * dz)
        curl_z += steep * (vx * dy - vy * dx)
        mean_x += weight * vx
        mean_y += weight * vy
        if dimensions == 3:
            curl_x += steep * (vy * dz - vz * dy)
            curl_y += steep * (vz * dx - vx * dz)
            mean_z += weight * vz
        energy += weight * (vx * vx + vy * vy + vz * vz)
    omega = max(1.0 - change / (dimensions * rho), 0.1)  # it is 0 for an agent that is alone
    gradient = inverse * inverse / (rho * omega)
    mean_x, mean_y, mean_z = mean_x / rho, mean_y / rho, mean_z / rho
    agents[i, at.RHO], agents[i, at.OMEGA], agents[i, at.NEAREST] = norm * rho, omega, math.sqrt(closest)
    agents[i, at.FLOW], agents[i, at.FLOW + 1], agents[i, at.FLOW + 2] = u - mean_x, v - mean_y, w - mean_z
    agents[i, at.SPREAD] = max(energy / rho - mean_x**2 - mean_y**2 - mean_z**2, 0.0) / dimensions
    agents[i, at.DIVERGENCE] = -divergence * gradient
    agents[i, at.CURL] = math.sqrt(curl_x**2 + curl_y**2 + curl_z**2) * abs(gradient)


@inner
def _doubled(who: NDArray[np.int32], factor: Array) -> tuple[NDArray[np.int32], Array]:
    count = who.shape[0]
    more, steeper = np.empty(2 * count, np.int32), np.empty(2 * count)
    for k in range(count):
        more[k], steeper[k] = who[k], factor[k]
    return more, steeper


@inner
def accelerate(found: Sorted, lists: Lists, gas: Gas, agents: Array) -> None:
    """Second pass: accelerations by pressure and viscosity, and heating; writes into ``agents`` [A, columns].

    The agents go by the density, Omega, pressure and speed of sound that stand there: their own, or in the zones at a
    duct's ends the stations'.
    """
    total, strict = found.owner.shape[0], gas.strict
    # One row an agent: position, velocity, h, c, rho, Balsara's switch, and what its pressure contributes
    own, sums = np.empty((total, 11)), np.zeros((total, 7))
    for s in range(total):
        i = found.owner[s]
        for d in range(7):
            own[s, d] = found.body[s, d]
        across, c, rho = abs(agents[i, at.DIVERGENCE]), agents[i, at.SOUND], agents[i, at.RHO]
        own[s, 7], own[s, 8] = c, rho
        own[s, 9] = across / (across + agents[i, at.CURL] + 1e-4 * c / own[s, 6])
        own[s, 10] = (
            c * c / (agents[i, at.OMEGA] * rho)
            if strict
            else agents[i, at.PRESSURE] / (agents[i, at.OMEGA] * rho * rho)
        )
    for s in range(total):
        x, y, z, u, v, w = own[s, 0], own[s, 1], own[s, 2], own[s, 3], own[s, 4], own[s, 5]
        size, sound, density, switch, pressure = own[s, 6], own[s, 7], own[s, 8], own[s, 9], own[s, 10]
        push_x, push_y, push_z, drag_x, drag_y, drag_z, heat = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(lists.first[s], lists.first[s + 1]):
            t, factor = lists.who[k], lists.factor[k]
            dx, dy, dz = x - own[t, 0], y - own[t, 1], z - own[t, 2]
            approach = (u - own[t, 3]) * dx + (v - own[t, 4]) * dy + (w - own[t, 5]) * dz
            if not strict:  # means of the two, and half of the stress: the rest comes with the other's own gradient
                size, sound = 0.5 * (own[s, 6] + own[t, 6]), 0.5 * (own[s, 7] + own[t, 7])
                density, switch = own[s, 8] + own[t, 8], 0.5 * (own[s, 9] + own[t, 9])
            # Monaghan's mu = h v.r / (r^2 + 0.01 h^2) and stress = (-alpha c mu + beta mu^2) / rho on approach
            mu = size * approach / (dx * dx + dy * dy + dz * dz + 0.01 * size * size)
            closing = min(mu, 0.0)
            stress = (switch * (gas.beta * closing - gas.alpha * sound) * closing - gas.damping * sound * mu) / density
            pull, stress = pressure * factor, stress * factor
            push_x -= pull * dx
            push_y -= pull * dy
            push_z -= pull * dz
            drag_x -= stress * dx
            drag_y -= stress * dy
            drag_z -= stress * dz
            heat += stress * approach
            if not strict:
                sums[t, 0] += pull * dx
                sums[t, 1] += pull * dy
                sums[t, 2] += pull * dz
                sums[t, 3] += stress * dx
                sums[t, 4] += stress * dy
                sums[t, 5] += stress * dz
                sums[t, 6] += stress * approach
        sums[s, 0] += push_x
        sums[s, 1] += push_y
        sums[s, 2] += push_z
        sums[s, 3] += drag_x
        sums[s, 4] += drag_y
        sums[s, 5] += drag_z
        sums[s, 6] += heat
    unit = gas.sound * gas.sound / gas.gamma
    for s in range(total):
        if found.real[s]:
            i = found.owner[s]
            for d in range(3):
                agents[i, at.PUSH + d], agents[i, at.DRAG + d] = sums[s, d], sums[s, 3 + d]
            # dA = (gamma - 1) / (2 K rho^(gamma - 1)) sum m Pi v_ij . grad W dt
            agents[i, at.HEATING] = sums[s, 6] * (gas.gamma - 1.0) / (2.0 * unit * own[s, 8] ** (gas.gamma - 1.0))
            agents[i, at.BALSARA] = own[s, 9]
