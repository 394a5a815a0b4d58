"""One step of worlds of agents: move, pass the stations at the ends, sense, derive accelerations."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm.compiled import compiled, inner
from agentgym.envs.swarm.neighbours import Grid, Walls, nearest_obstacle, nearest_wall
from agentgym.envs.swarm.sph import Gas, Sensed, accelerate, pressure_of, sense, sound_of
from agentgym.envs.swarm.stations import inlet, outlet
from agentgym.envs.swarm.vehicles import Vehicle, accelerate_vehicle

__all__ = ["ABSENT", "INLET", "INSIDE", "OUTLET", "Counts", "Ends", "State", "advance"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ABSENT, INSIDE, INLET, OUTLET = 0, 1, 2, 3
GOLDEN = math.pi * (3.0 - math.sqrt(5.0))
# Columns of State.stations: low-passed means inside the inlet and the exit, the inlet's state, the outlet's, and where
# the last column of new agents is
U_IN, RHO_IN, U_OUT, RHO_OUT, A_OUT, U_INLET, RHO_INLET, COASTING, U_ZONE, P_ZONE, COLUMN = range(11)


class Counts(NamedTuple):
    """What has happened in each world since its episode began, int64 [W] each.

    Attributes:
        entered, left: agents that came in and went out. missing: agents that found no free place in the pool.
        passed: agents that passed the throat forwards, less those that passed it backwards.
        contacts: times that an agent was held off a wall. columns: of new agents.
    """

    entered: NDArray[np.int64]
    left: NDArray[np.int64]
    missing: NDArray[np.int64]
    passed: NDArray[np.int64]
    contacts: NDArray[np.int64]
    columns: NDArray[np.int64]


class State(NamedTuple):
    """W worlds with room for A agents each; all that their future depends on.

    Attributes:
        positions, velocities: [W, A, D]. memory, rates: [W, A, D], the vehicles'.
        h: [W, A], smoothing lengths. entropy: [W, A], the agents' A. injected: [W, A], densities they came in with.
        place: int8 [W, A], ABSENT, INSIDE, INLET or OUTLET.
        stations: [W, 11], see the columns above. back: [W], back pressure over the stagnation pressure.
        jitter: [W, 64, M, D], of new columns of up to M agents, in their spacings.
        blur: [W, A, D], errors of the positions as they are sensed.
        counts: see :class:`Counts`.
        seen: see :class:`agentgym.envs.swarm.sph.Sensed`, [W, A] and [W, A, D].
    """

    positions: Array
    velocities: Array
    memory: Array
    rates: Array
    h: Array
    entropy: Array
    injected: Array
    place: NDArray[np.int8]
    stations: Array
    back: Array
    jitter: Array
    blur: Array
    counts: Counts
    seen: Sensed


class Ends(NamedTuple):
    """The open ends of a duct and the time step; compiled functions read it.

    Attributes:
        open: whether there are any.
        length: of the duct. throat: where passing is counted.
        half_in: half-height or radius of the inlet.
        zone_in: length of the inlet's zone. margin_out: of the outlet's, beside 4.6 h.
        station: length of the stretch inside that each station measures.
        time_in, time_out: of the low-pass filters. relax: within which the outlet's zone takes its speed.
        dt: time step. least_h, most_h: clamps of h. clearance: agents are held off walls by so much.
        lead: how far ahead agents predict the positions that they act on.
    """

    open: bool
    length: float
    throat: float
    half_in: float
    zone_in: float
    margin_out: float
    station: float
    time_in: float
    time_out: float
    relax: float
    dt: float
    least_h: float
    most_h: float
    clearance: float
    lead: float


@compiled
def advance(
    first: int, last: int, chosen: Mask, steps: int, follow: bool, command: Array, wind: Array, state: State, gas: Gas,
    walls: Walls, grid: Grid, ends: Ends, vehicle: Vehicle,
) -> None:  # fmt: skip
    """Step the chosen ones of worlds ``first`` to ``last`` - 1 by ``steps`` time steps; with 0, only sense.

    Args:
        first, last: which worlds; threads share them out.
        chosen: [W].
        steps: time steps.
        follow: whether vehicles are commanded by what they sense in each step; else by ``command``.
        command: accelerations [W, A, D], held over the steps.
        wind: an acceleration [W, A, D] that acts on the vehicles.
        state: is changed.
        gas, walls, grid, ends, vehicle: what all worlds share.
    """
    for w in range(first, last):
        if chosen[w]:
            for _ in range(steps):
                _move(w, follow, command, wind, state, gas, walls, ends, vehicle)
                if ends.open:
                    _stations(w, state, gas, ends)
                _look(w, ends.dt, state, gas, walls, grid, ends)
            if steps == 0:
                _look(w, 0.0, state, gas, walls, grid, ends)


@inner
def _move(
    w: int, follow: bool, command: Array, wind: Array, state: State, gas: Gas, walls: Walls, ends: Ends, vehicle: Vehicle
) -> None:
    """Symplectic Euler: speeds first, then positions; vehicles inside by their command, those in zones by the station."""
    x, v, place, station = state.positions[w], state.velocities[w], state.place[w], state.stations[w]
    dimensions = gas.dimensions
    asked = state.seen.push[w] + state.seen.drag[w] if follow else command[w]
    towards = 1.0 - math.exp(-ends.dt / ends.relax) if ends.open else 0.0
    for i in range(x.shape[0]):
        if place[i] == ABSENT:
            continue
        if place[i] == INSIDE:
            accelerate_vehicle(vehicle, i, ends.dt, asked, v, state.memory[w], state.rates[w])
            for d in range(dimensions):
                v[i, d] += ends.dt * wind[w, i, d]
        elif place[i] == INLET:
            for d in range(dimensions):
                v[i, d] = station[U_INLET] if d == 0 else 0.0
        elif station[COASTING] == 0.0:
            for d in range(dimensions):
                v[i, d] += towards * ((station[U_ZONE] if d == 0 else 0.0) - v[i, d])
        if place[i] != INSIDE:  # a vehicle that comes into the duct has flown evenly
            for d in range(dimensions):
                state.memory[w, i, d] = v[i, d] if vehicle.kind == 2 else 0.0
                state.rates[w, i, d] = 0.0
        before = x[i, 0]
        for d in range(dimensions):
            x[i, d] += ends.dt * v[i, d]
        if before < ends.throat <= x[i, 0]:
            state.counts.passed[w] += 1
        elif x[i, 0] < ends.throat <= before:
            state.counts.passed[w] -= 1
        _hold_off(w, i, x, v, state, walls, ends.clearance)


@inner
def _hold_off(w: int, i: int, x: Array, v: Array, state: State, walls: Walls, clearance: float) -> None:
    """The safety clamp: an agent nearer to a wall than the clearance is put back there and stopped along the normal."""
    for which in range(2):
        z = x[i, 2] if x.shape[1] == 3 else 0.0
        if which == 0:
            distance, nx, ny, nz = nearest_wall(x[i, 0], x[i, 1], z, clearance, walls)
        else:
            distance, nx, ny, nz = nearest_obstacle(x[i, 0], x[i, 1], z, walls)
        if distance < clearance:
            state.counts.contacts[w] += 1
            normal = (nx, ny, nz)
            speed = 0.0
            for d in range(x.shape[1]):
                speed += v[i, d] * normal[d]
            for d in range(x.shape[1]):
                x[i, d] += (clearance - distance) * normal[d]
                v[i, d] -= min(speed, 0.0) * normal[d]


@inner
def _stations(w: int, state: State, gas: Gas, ends: Ends) -> None:
    """Relabel agents at the ends, take out and put in, measure, and choose the zones' states."""
    x, place, station, rho = state.positions[w], state.place[w], state.stations[w], state.seen.rho[w]
    exit_h = gas.eta * (gas.mass / station[RHO_OUT]) ** (1.0 / gas.dimensions)
    end = ends.length + 4.6 * min(exit_h, ends.most_h) + ends.margin_out
    count_in, u_in, rho_in, count_out, u_out, rho_out, a_out = 0, 0.0, 0.0, 0, 0.0, 0.0, 0.0
    for i in range(x.shape[0]):
        if place[i] == ABSENT:
            continue
        if x[i, 0] > end or x[i, 0] < -ends.zone_in - gas.spacing:
            place[i] = ABSENT
            state.counts.left[w] += 1
            for d in range(gas.dimensions):
                state.seen.push[w, i, d] = state.seen.drag[w, i, d] = 0.0
        elif x[i, 0] < 0.0:
            if place[i] != INLET:
                place[i], state.injected[w, i] = INLET, rho[i]
        elif x[i, 0] > ends.length:
            place[i] = OUTLET
        else:
            place[i] = INSIDE
            if x[i, 0] < ends.station:
                count_in, u_in, rho_in = count_in + 1, u_in + state.velocities[w, i, 0], rho_in + rho[i]
            if x[i, 0] > ends.length - ends.station:
                count_out, u_out = count_out + 1, u_out + state.velocities[w, i, 0]
                rho_out, a_out = rho_out + rho[i], a_out + state.entropy[w, i]
    if count_in > 0:
        share = ends.dt / ends.time_in
        station[U_IN] += share * (u_in / count_in - station[U_IN])
        station[RHO_IN] += share * (rho_in / count_in - station[RHO_IN])
    if count_out > 0:
        share = ends.dt / ends.time_out
        station[U_OUT] += share * (u_out / count_out - station[U_OUT])
        station[RHO_OUT] += share * (rho_out / count_out - station[RHO_OUT])
        station[A_OUT] += share * (a_out / count_out - station[A_OUT])
    station[U_INLET], station[RHO_INLET] = inlet(station[U_IN], station[RHO_IN], gas.gamma, gas.sound)
    back = state.back[w] * gas.sound * gas.sound / gas.gamma
    coasting, station[U_ZONE], station[P_ZONE] = outlet(
        station[U_OUT], station[RHO_OUT], station[A_OUT], back, gas.gamma, gas.sound
    )
    station[COASTING] = 1.0 if coasting else 0.0
    _new_columns(w, state, gas, ends)


@inner
def _new_columns(w: int, state: State, gas: Gas, ends: Ends) -> None:
    """Put columns of agents in at the inlet zone's beginning as the last one moves on."""
    station = state.stations[w]
    station[COLUMN] = max(station[COLUMN] + ends.dt * station[U_INLET], -ends.zone_in)
    rho = station[RHO_INLET]
    between = (gas.mass / rho) ** (1.0 / gas.dimensions)
    if gas.dimensions == 2:
        area = 2.0 * ends.half_in
        count = max(int(area / between + 0.5), 1)
    else:
        area = math.pi * ends.half_in**2
        count = max(int(area / (between * between) + 0.5), 1)
    count = min(count, state.jitter.shape[2])
    spacing = count * gas.mass / (area * rho)
    free = 0
    while station[COLUMN] - spacing >= -ends.zone_in:
        station[COLUMN] -= spacing
        column = state.counts.columns[w]
        state.counts.columns[w] += 1
        for k in range(count):
            while free < state.place.shape[1] and state.place[w, free] != ABSENT:
                free += 1
            if free == state.place.shape[1]:
                state.counts.missing[w] += 1
                continue
            _put_in(w, free, k, count, column, spacing, area, state, gas, ends)


@inner
def _put_in(
    w: int, i: int, k: int, count: int, column: int, spacing: float, area: float, state: State, gas: Gas, ends: Ends
) -> None:
    x, station, jitter = state.positions[w, i], state.stations[w], state.jitter[w, column % 64, k]
    x[0] = station[COLUMN] + spacing * jitter[0]
    if gas.dimensions == 2:
        apart = area / count
        x[1] = apart * (k + 0.5 + (0.25 if column % 2 == 0 else -0.25) + jitter[1]) - ends.half_in
    else:
        r, angle = ends.half_in * math.sqrt((k + 0.5) / count), GOLDEN * k + 2.4 * column
        x[1] = r * math.cos(angle) + spacing * jitter[1]
        x[2] = r * math.sin(angle) + spacing * jitter[2]
    for d in range(gas.dimensions):
        state.velocities[w, i, d] = station[U_INLET] if d == 0 else 0.0
        state.memory[w, i, d] = state.rates[w, i, d] = 0.0
        state.seen.flow[w, i, d] = state.velocities[w, i, d]
    state.place[w, i], state.entropy[w, i] = INLET, 1.0
    state.injected[w, i] = state.seen.rho[w, i] = station[RHO_INLET]
    state.h[w, i] = gas.eta * (gas.mass / station[RHO_INLET]) ** (1.0 / gas.dimensions)
    state.counts.entered[w] += 1


@inner
def _look(w: int, dt: float, state: State, gas: Gas, walls: Walls, grid: Grid, ends: Ends) -> None:
    """Sense, take on the zones' states, derive accelerations; with dt, age the agents' A and h."""
    place, entropy, station, h = state.place[w], state.entropy[w], state.stations[w], state.h[w]
    seen = Sensed(
        state.seen.rho[w], state.seen.omega[w], state.seen.p[w], state.seen.c[w], state.seen.spread[w],
        state.seen.divergence[w], state.seen.curl[w], state.seen.balsara[w], state.seen.heating[w], state.seen.push[w],
        state.seen.drag[w], state.seen.flow[w], state.seen.nearest[w],
    )  # fmt: skip
    agents, lists = sense(
        state.positions[w] + state.blur[w], state.velocities[w], h, place != ABSENT, ends.lead, gas, walls, grid, seen
    )
    for i in range(place.shape[0]):
        if place[i] == ABSENT:
            continue
        if place[i] == INLET:
            seen.rho[i], seen.omega[i] = state.injected[w, i], 1.0
        size_rho = seen.rho[i]
        seen.p[i], seen.c[i] = pressure_of(seen.rho[i], entropy[i], gas), sound_of(seen.rho[i], entropy[i], gas)
        if place[i] == INLET:
            seen.p[i] = pressure_of(station[RHO_INLET], 1.0, gas)
        elif place[i] == OUTLET:
            size_rho = station[RHO_OUT]
            if station[COASTING] == 0.0:
                k = gas.sound * gas.sound / gas.gamma
                seen.rho[i] = size_rho = (station[P_ZONE] / (k * entropy[i])) ** (1.0 / gas.gamma)
                seen.omega[i] = 1.0
                seen.p[i], seen.c[i] = pressure_of(size_rho, entropy[i], gas), sound_of(size_rho, entropy[i], gas)
        if dt > 0.0:
            wanted = gas.eta * (gas.mass / size_rho) ** (1.0 / gas.dimensions)
            h[i] = min(max(h[i] + 0.3 * (wanted - h[i]), ends.least_h), ends.most_h)
    accelerate(agents, lists, seen.rho, seen.omega, seen.p, seen.c, entropy, gas, seen)
    if gas.energy and dt > 0.0:
        for i in range(place.shape[0]):
            if place[i] == INSIDE:
                entropy[i] += dt * seen.heating[i]
