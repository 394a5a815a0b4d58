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

from agentgym.envs.swarm.compiled import inner
from agentgym.envs.swarm.kernels import scale, shape, slope
from agentgym.envs.swarm.neighbours import Grid, Sorted, Walls, cells_within, sort_agents

__all__ = ["Gas", "Sensed", "accelerate", "pressure_of", "sense", "sound_of"]

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


class Sensed(NamedTuple):
    """What the agents of one world sense and derive, [A] and [A, D]; entries of absent agents are left as they were.

    Attributes:
        rho: density. omega: 1 + (h / (D rho)) sum m dW/dh. p: pressure. c: speed of sound. spread: mean square
        velocity of the neighbours about their mean, an axis. divergence, curl: of the velocity. balsara: share of the
        divergence in the velocity's gradient, 0 to 1. heating: dA/dt. push: acceleration by pressure. drag: by viscosity.
        flow: the neighbours' mean velocity. nearest: distance of the nearest agent within 2h, else 2h.
    """

    rho: Array
    omega: Array
    p: Array
    c: Array
    spread: Array
    divergence: Array
    curl: Array
    balsara: Array
    heating: Array
    push: Array
    drag: Array
    flow: Array
    nearest: Array


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
    positions: Array, velocities: Array, h: Array, present: NDArray[np.bool_], lead: float, gas: Gas, walls: Walls,
    grid: Grid, out: Sensed,
) -> tuple[Sorted, Lists]:  # fmt: skip
    """First pass: densities, Omega, velocity gradients and spread; writes into ``out``."""
    agents = sort_agents(positions, velocities, h, present, lead, walls, grid)
    total = agents.owner.shape[0]
    first, who, factor = np.zeros(total + 1, np.int64), np.empty(48 * total + 64, np.int32), np.empty(48 * total + 64)
    count = 0
    for s in range(total):
        if agents.real[s] or not gas.strict:
            who, factor, count = _within(s, agents, grid, who, factor, count)
            _sum(s, agents, gas, who, factor, first[s], count, out)
        first[s + 1] = count
    return agents, Lists(first, who, factor)


@inner
def _within(
    s: int, agents: Sorted, grid: Grid, who: NDArray[np.int32], factor: Array, count: int
) -> tuple[NDArray[np.int32], Array, int]:
    """Append whom s senses to ``who``, and the squared distances to ``factor``; the arrays grow where they must.

    An image of an agent beyond 2h counts no more than the agent itself, which has not been sensed: both distances must
    be below 2h. Images do not sense images.
    """
    reach2, image = 4.0 * agents.h[s] * agents.h[s], not agents.real[s]
    x, y, z = agents.at[s, 0], agents.at[s, 1], agents.at[s, 2]
    ox, oy, oz = agents.origin[s, 0], agents.origin[s, 1], agents.origin[s, 2]
    x0, x1, y0, y1, z0, z1 = cells_within(x, y, z, 2.0 * agents.h[s], grid)
    for iz in range(z0, z1 + 1):
        for iy in range(y0, y1 + 1):
            row = (iz * grid.ny + iy) * grid.nx
            start, stop = agents.starts[row + x0], agents.starts[row + x1 + 1]
            while count + stop - start > who.shape[0]:
                who, factor = _doubled(who, factor)
            for t in range(start, stop):
                dx, dy, dz = x - agents.at[t, 0], y - agents.at[t, 1], z - agents.at[t, 2]
                ex, ey, ez = ox - agents.origin[t, 0], oy - agents.origin[t, 1], oz - agents.origin[t, 2]
                r2 = dx * dx + dy * dy + dz * dz
                who[count], factor[count] = t, r2
                near = (r2 < reach2) & (ex * ex + ey * ey + ez * ez < reach2)
                count += near & (agents.real[t] | (not image))
    return who, factor, count


@inner
def _sum(
    s: int, agents: Sorted, gas: Gas, who: NDArray[np.int32], factor: Array, start: int, stop: int, out: Sensed
) -> None:
    """Turn the squared distances into factors of gradients and, of agents that are no image, sum over neighbours."""
    size, dimensions, kernel = agents.h[s], gas.dimensions, gas.kernel
    inverse = 1.0 / size
    norm = gas.mass * scale(kernel, dimensions, size)
    steepness = norm * inverse * inverse
    if not agents.real[s]:
        for k in range(start, stop):
            factor[k] = steepness * slope(kernel, math.sqrt(factor[k]) * inverse)
        return
    x, y, z = agents.at[s, 0], agents.at[s, 1], agents.at[s, 2]
    u, v, w = agents.velocity[s, 0], agents.velocity[s, 1], agents.velocity[s, 2]
    rho, change, divergence, energy, closest = 0.0, 0.0, 0.0, 0.0, 4.0 * size * size
    curl_x, curl_y, curl_z, mean_x, mean_y, mean_z = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(start, stop):
        t, r2 = who[k], factor[k]
        if r2 < closest and t != s and agents.real[t]:
            closest = r2
        q = math.sqrt(r2) * inverse
        weight, steep = shape(kernel, q), slope(kernel, q)
        factor[k] = steepness * steep
        dx, dy, dz = x - agents.at[t, 0], y - agents.at[t, 1], z - agents.at[t, 2]
        vx, vy, vz = u - agents.velocity[t, 0], v - agents.velocity[t, 1], w - agents.velocity[t, 2]
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
    i = agents.owner[s]
    out.rho[i], out.nearest[i] = norm * rho, math.sqrt(closest)
    out.omega[i] = 1.0 - change / (dimensions * rho)
    mean_x, mean_y, mean_z = mean_x / rho, mean_y / rho, mean_z / rho
    out.flow[i, 0], out.flow[i, 1] = u - mean_x, v - mean_y
    if dimensions == 3:
        out.flow[i, 2] = w - mean_z
    out.spread[i] = max(energy / rho - mean_x**2 - mean_y**2 - mean_z**2, 0.0) / dimensions
    gradient = inverse * inverse / (rho * out.omega[i])
    out.divergence[i] = -divergence * gradient
    out.curl[i] = math.sqrt(curl_x**2 + curl_y**2 + curl_z**2) * abs(gradient)


@inner
def _doubled(who: NDArray[np.int32], factor: Array) -> tuple[NDArray[np.int32], Array]:
    count = who.shape[0]
    more, steeper = np.empty(2 * count, np.int32), np.empty(2 * count)
    more[:count], steeper[:count] = who, factor
    return more, steeper


@inner
def accelerate(
    agents: Sorted, lists: Lists, rho: Array, omega: Array, p: Array, c: Array, entropy: Array, gas: Gas, out: Sensed
) -> None:
    """Second pass: accelerations by pressure and viscosity, and heating; writes ``push``, ``drag``, ``heating``.

    ``rho`` to ``entropy`` [A] are what the agents go by: their own, or in the zones at a duct's ends the stations'.
    """
    total, strict = agents.owner.shape[0], gas.strict
    # One row an agent: position, velocity, h, c, rho, Balsara's switch, and what its pressure contributes
    own, found = np.empty((total, 11)), np.zeros((total, 7))
    for s in range(total):
        i = agents.owner[s]
        for d in range(3):
            own[s, d], own[s, 3 + d] = agents.at[s, d], agents.velocity[s, d]
        across = abs(out.divergence[i])
        own[s, 6], own[s, 7], own[s, 8] = agents.h[s], c[i], rho[i]
        own[s, 9] = across / (across + out.curl[i] + 1e-4 * c[i] / agents.h[s])
        own[s, 10] = c[i] * c[i] / (omega[i] * rho[i]) if strict else p[i] / (omega[i] * rho[i] * rho[i])
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
                found[t, 0] += pull * dx
                found[t, 1] += pull * dy
                found[t, 2] += pull * dz
                found[t, 3] += stress * dx
                found[t, 4] += stress * dy
                found[t, 5] += stress * dz
                found[t, 6] += stress * approach
        found[s, 0] += push_x
        found[s, 1] += push_y
        found[s, 2] += push_z
        found[s, 3] += drag_x
        found[s, 4] += drag_y
        found[s, 5] += drag_z
        found[s, 6] += heat
    k = gas.sound * gas.sound / gas.gamma
    for s in range(total):
        if agents.real[s]:
            i = agents.owner[s]
            for d in range(gas.dimensions):
                out.push[i, d], out.drag[i, d] = found[s, d], found[s, 3 + d]
            # dA = (gamma - 1) / (2 K rho^(gamma - 1)) sum m Pi v_ij . grad W dt
            out.heating[i] = found[s, 6] * (gas.gamma - 1.0) / (2.0 * k * rho[i] ** (gas.gamma - 1.0))
            out.balsara[i] = own[s, 9]
