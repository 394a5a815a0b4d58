"""The reference in two dimensions: the Euler equations in a duct by finite volumes, run to a steady state.

MUSCL reconstruction of primitive variables with van Leer's limiter, HLLC fluxes (Toro, Riemann Solvers, 2009, chapter
10), Heun's method with local time steps. The mesh fits the wall; half of the duct is computed, with the axis a mirror.
Loops are written out, since Numba takes three times as long to compile expressions of whole arrays.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.envs.swarm.compiled import compiled, inner
from agentgym.envs.swarm.duct import Duct
from agentgym.envs.swarm.nozzle import quasi_1d
from agentgym.envs.swarm.stations import inlet
from agentgym.errors import InvalidParameter

__all__ = ["Steady", "euler_2d", "shock_tube"]

Array = NDArray[np.float64]


class Steady(NamedTuple):
    """A flow in the upper half of a duct.

    Attributes:
        x, y: [X, Y], centres of cells.
        rho, u, v, p: [X, Y].
        means: [4, X], rho, u, v, p averaged over the cross-section.
        residual: mean relative change of the density in the last step.
        steps: taken.
    """

    x: Array
    y: Array
    rho: Array
    u: Array
    v: Array
    p: Array
    means: Array
    residual: float
    steps: int


def euler_2d(
    duct: Duct, back_pressure: float, gamma: float = 1.4, c0: float = 5.0, columns: int = 240, rows: int = 20,
    steps: int = 20_000, tolerance: float = 1e-8,
) -> Steady:  # fmt: skip
    """The steady flow from rest upstream into a back pressure.

    Args:
        duct: of two dimensions.
        back_pressure: over the stagnation pressure.
        gamma, c0: of the gas; energy is conserved.
        columns, rows: cells along the duct and from the axis to the wall.
        steps: at most so many.
        tolerance: stop where the density's mean relative change in a step is below it.

    Raises:
        InvalidParameter: the duct is round, or a number is out of range.
    """
    if duct.dimensions != 2:
        raise InvalidParameter("The Euler solver knows flat ducts only, with 2 dimensions.")
    columns, rows = whole_number("columns", columns, 8), whole_number("rows", rows, 2)
    start = quasi_1d(duct, back_pressure, gamma, c0)
    edges = np.linspace(0.0, duct.length, columns + 1)
    corners = np.stack(
        np.broadcast_arrays(edges[:, None], duct.half(edges)[:, None] * np.linspace(0, 1, rows + 1)), axis=-1
    )
    middle = (edges[1:] + edges[:-1]) / 2
    fields = np.zeros((columns, rows, 4))
    for k, name in ((0, "rho"), (1, "u"), (3, "p")):
        fields[..., k] = start.at(name, middle)[:, None]
    back = finite_number("back_pressure", back_pressure) * c0**2 / gamma
    taken, residual = _run(fields, np.ascontiguousarray(corners), gamma, c0, back, True, 0.0, steps, tolerance)
    centre = (corners[1:, 1:] + corners[1:, :-1] + corners[:-1, 1:] + corners[:-1, :-1]) / 4
    means = fields.mean(axis=1).T  # rows are equally high
    rho, u, v, p = np.moveaxis(fields, -1, 0)
    return Steady(centre[..., 0], centre[..., 1], rho, u, v, p, means, residual, taken)


def shock_tube(left: Array, right: Array, time: float, gamma: float = 1.4, cells: int = 200) -> tuple[Array, Array]:
    """A tube from 0 to 1, states (rho, u, v, p) left and right of its middle, after ``time``.

    Returns:
        x [cells] and the state [cells, 4].
    """
    edges = np.linspace(0.0, 1.0, cells + 1)
    corners = np.stack(np.broadcast_arrays(edges[:, None], np.array([0.0, 1.0])), axis=-1)
    middle = (edges[1:] + edges[:-1]) / 2
    fields = np.where(middle[:, None, None] < 0.5, np.asarray(left), np.asarray(right)).astype(np.float64)
    _run(fields, np.ascontiguousarray(corners), gamma, 1.0, 1.0, False, time, 100_000, 0.0)
    return middle, fields[:, 0]


@inner
def _limited(before: float, here: float, after: float) -> float:
    """Van Leer's slope, half of it."""
    back, ahead = here - before, after - here
    product = back * ahead
    return product / (back + ahead) if product > 0.0 else 0.0


@inner
def _hllc(left: Array, right: Array, nx: float, ny: float, gamma: float, flux: Array) -> None:
    """The flux of mass, momentum and energy through a face with unit normal (nx, ny)."""
    rl, rr, pl, pr = left[0], right[0], left[3], right[3]
    ul, ur = left[1] * nx + left[2] * ny, right[1] * nx + right[2] * ny
    el = pl / (gamma - 1.0) + 0.5 * rl * (left[1] ** 2 + left[2] ** 2)
    er = pr / (gamma - 1.0) + 0.5 * rr * (right[1] ** 2 + right[2] ** 2)
    cl, cr = np.sqrt(gamma * pl / rl), np.sqrt(gamma * pr / rr)
    # Roe's averages bound the waves (Einfeldt)
    wl, wr = np.sqrt(rl), np.sqrt(rr)
    mean = (wl * ul + wr * ur) / (wl + wr)
    bend = 0.5 * wl * wr / (wl + wr) ** 2 * (ur - ul) ** 2
    spread = np.sqrt((wl * cl * cl + wr * cr * cr) / (wl + wr) + bend)
    sl, sr = min(ul - cl, mean - spread), max(ur + cr, mean + spread)
    star = (pr - pl + rl * ul * (sl - ul) - rr * ur * (sr - ur)) / (rl * (sl - ul) - rr * (sr - ur))
    if star >= 0.0:
        r, u, p, e, s, state = rl, ul, pl, el, sl, left
    else:
        r, u, p, e, s, state = rr, ur, pr, er, sr, right
    flux[0], flux[3] = r * u, u * (e + p)
    flux[1], flux[2] = r * u * state[1] + p * nx, r * u * state[2] + p * ny
    if (star >= 0.0 and sl < 0.0) or (star < 0.0 and sr > 0.0):
        dense = r * (s - u) / (s - star)
        flux[0] += s * (dense - r)
        flux[1] += s * (dense * (state[1] + (star - u) * nx) - r * state[1])
        flux[2] += s * (dense * (state[2] + (star - u) * ny) - r * state[2])
        flux[3] += s * (dense * (e / r + (star - u) * (star + p / (r * (s - u)))) - e)


@inner
def _pad(q: Array, padded: Array, gamma: float, c0: float, back: float, open_ends: bool) -> None:
    """Two layers of ghost cells: inlet from rest, outlet at the back pressure, mirrors at axis and wall."""
    columns, rows = q.shape[0], q.shape[1]
    g = 0.5 * (gamma - 1.0)
    first, last = np.empty(4), np.empty(4)
    for i in range(columns):
        for j in range(rows):
            for k in range(4):
                padded[2 + i, 2 + j, k] = q[i, j, k]
    for j in range(rows):
        for k in range(4):
            first[k], last[k] = q[0, j, k], q[columns - 1, j, k]
        if open_ends:
            c = np.sqrt(gamma * first[3] / first[0])
            u, rho = inlet(first[1], (c / c0) ** (1.0 / g), gamma, c0)
            first[0], first[1], first[2], first[3] = rho, u, 0.0, c0 * c0 / gamma * rho**gamma
            c = np.sqrt(gamma * last[3] / last[0])
            if last[1] < c:
                behind = c * (back / last[3]) ** (g / gamma)
                last[0] *= (back / last[3]) ** (1.0 / gamma)
                last[1] += (c - behind) / g
                last[3] = back
        for k in range(4):
            padded[0, 2 + j, k] = padded[1, 2 + j, k] = first[k]
            padded[columns + 2, 2 + j, k] = padded[columns + 3, 2 + j, k] = last[k]


@inner
def _mirrored(state: Array, nx: float, ny: float, behind: Array, before: Array) -> None:
    """The states behind a wall and before it."""
    normal = state[1] * nx + state[2] * ny
    for k in range(4):
        behind[k] = before[k] = state[k]
    behind[1], behind[2] = state[1] - 2 * normal * nx, state[2] - 2 * normal * ny


@inner
def _rates(q: Array, corners: Array, gamma: float, c0: float, back: float, open_ends: bool, rates: Array) -> None:
    """d(conserved)/dt times the cells' areas."""
    columns, rows = q.shape[0], q.shape[1]
    padded = np.empty((columns + 4, rows + 4, 4))
    _pad(q, padded, gamma, c0, back, open_ends)
    for i in range(columns):
        for j in range(rows):
            for k in range(4):
                rates[i, j, k] = 0.0
    left, right, flux = np.empty(4), np.empty(4), np.empty(4)
    for i in range(columns + 1):  # faces across x
        for j in range(rows):
            nx, ny = corners[i, j + 1, 1] - corners[i, j, 1], corners[i, j, 0] - corners[i, j + 1, 0]
            size = np.sqrt(nx * nx + ny * ny)
            for k in range(4):
                a, b, c, d = (
                    padded[i, j + 2, k], padded[i + 1, j + 2, k], padded[i + 2, j + 2, k], padded[i + 3, j + 2, k],
                )  # fmt: skip
                left[k], right[k] = b + _limited(a, b, c), c - _limited(b, c, d)
            _hllc(left, right, nx / size, ny / size, gamma, flux)
            for k in range(4):
                if i > 0:
                    rates[i - 1, j, k] -= flux[k] * size
                if i < columns:
                    rates[i, j, k] += flux[k] * size
    for i in range(columns):  # faces along the duct; the first and the last are walls
        for j in range(rows + 1):
            nx, ny = corners[i, j, 1] - corners[i + 1, j, 1], corners[i + 1, j, 0] - corners[i, j, 0]
            size = np.sqrt(nx * nx + ny * ny)
            nx, ny = nx / size, ny / size
            if j == 0:
                _mirrored(q[i, 0], nx, ny, left, right)
            elif j == rows:
                _mirrored(q[i, rows - 1], nx, ny, right, left)
            else:
                for k in range(4):
                    b, c = q[i, j - 1, k], q[i, j, k]
                    a = q[i, j - 2, k] if j > 1 else b
                    d = q[i, j + 1, k] if j < rows - 1 else c
                    left[k], right[k] = b + _limited(a, b, c), c - _limited(b, c, d)
            _hllc(left, right, nx, ny, gamma, flux)
            for k in range(4):
                if j > 0:
                    rates[i, j - 1, k] -= flux[k] * size
                if j < rows:
                    rates[i, j, k] += flux[k] * size


@inner
def _conserved(q: Array, gamma: float, out: Array) -> None:
    for i in range(q.shape[0]):
        for j in range(q.shape[1]):
            rho, u, v = q[i, j, 0], q[i, j, 1], q[i, j, 2]
            out[i, j, 0], out[i, j, 1], out[i, j, 2] = rho, rho * u, rho * v
            out[i, j, 3] = q[i, j, 3] / (gamma - 1.0) + 0.5 * rho * (u * u + v * v)


@inner
def _primitive(w: Array, gamma: float, out: Array) -> None:
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            rho, along, across = w[i, j, 0], w[i, j, 1], w[i, j, 2]
            out[i, j, 0], out[i, j, 1], out[i, j, 2] = rho, along / rho, across / rho
            out[i, j, 3] = (gamma - 1.0) * (w[i, j, 3] - 0.5 * (along * along + across * across) / rho)


@compiled
def _run(
    q: Array, corners: Array, gamma: float, c0: float, back: float, open_ends: bool, time: float, steps: int,
    tolerance: float,
) -> tuple[int, float]:  # fmt: skip
    """Step primitive fields [X, Y, 4] in place: to ``time`` where that is above 0, else with local steps to rest."""
    columns, rows = q.shape[0], q.shape[1]
    area, across, along = np.empty((columns, rows)), np.empty((columns, rows)), np.empty((columns, rows))
    for i in range(columns):
        for j in range(rows):
            width = corners[i + 1, j, 0] - corners[i, j, 0]
            across[i, j] = 0.5 * (
                corners[i, j + 1, 1] - corners[i, j, 1] + corners[i + 1, j + 1, 1] - corners[i + 1, j, 1]
            )
            area[i, j], along[i, j] = width * across[i, j], width
    w, first, second, rates = np.empty(q.shape), np.empty(q.shape), np.empty(q.shape), np.empty(q.shape)
    dt = np.empty((columns, rows))
    now, residual = 0.0, 0.0
    for step in range(steps):
        least = math.inf
        for i in range(columns):
            for j in range(rows):
                c = np.sqrt(gamma * q[i, j, 3] / q[i, j, 0])
                rate = (abs(q[i, j, 1]) + c) / along[i, j] + (abs(q[i, j, 2]) + c) / across[i, j]
                dt[i, j] = 0.4 / rate
                least = min(least, dt[i, j])
        if time > 0.0:
            least = min(least, time - now)
            now += least
            for i in range(columns):
                for j in range(rows):
                    dt[i, j] = least
        _conserved(q, gamma, w)
        _rates(q, corners, gamma, c0, back, open_ends, rates)
        for i in range(columns):
            for j in range(rows):
                for k in range(4):
                    first[i, j, k] = w[i, j, k] + dt[i, j] / area[i, j] * rates[i, j, k]
        _primitive(first, gamma, second)
        _rates(second, corners, gamma, c0, back, open_ends, rates)
        residual = 0.0
        for i in range(columns):
            for j in range(rows):
                change = 0.5 * (first[i, j, 0] + dt[i, j] / area[i, j] * rates[i, j, 0] - w[i, j, 0])
                residual += abs(change) / w[i, j, 0]
                for k in range(4):
                    first[i, j, k] = 0.5 * (w[i, j, k] + first[i, j, k] + dt[i, j] / area[i, j] * rates[i, j, k])
        _primitive(first, gamma, q)
        residual /= columns * rows
        if (time > 0.0 and now >= time * (1.0 - 1e-12)) or residual < tolerance:
            return step + 1, residual
    return steps, residual
