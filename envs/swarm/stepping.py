"""One step of worlds of agents: move, pass the stations at the ends, sense, derive accelerations."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.compiled import compiled, inner
from agentgym.envs.swarm.neighbours import Grid, Walls, nearest_obstacle, nearest_wall
from agentgym.envs.swarm.sph import Gas, accelerate, pressure_of, sense, sound_of
from agentgym.envs.swarm.stations import inlet, outlet
from agentgym.envs.swarm.vehicles import (
    FOLLOW_VELOCITY,
    QUADCOPTER,
    Vehicle,
    accelerate_vehicle,
    fly_quadcopter,
    level_off,
    shorten,
)  # fmt: skip

__all__ = ["Ends", "advance"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int8]

GOLDEN = math.pi * (3.0 - math.sqrt(5.0))
TURN = 2.4  # of each column of a round duct against the one before it


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
    first: int, last: int, chosen: Mask, steps: int, follow: bool, command: Array, wind: Array, agents: Array,
    place: Places, stations: Array, jitter: Array, gas: Gas, walls: Walls, grid: Grid, ends: Ends, vehicle: Vehicle,
) -> None:  # fmt: skip
    """Step the chosen ones of worlds ``first`` to ``last`` - 1 by ``steps`` time steps; with 0, only sense.

    Args:
        first, last: which worlds; threads share them out.
        chosen: [W].
        steps: time steps.
        follow: whether vehicles are commanded by what they sense in each step; else by ``command``.
        command: accelerations [W, A, D], held over the steps.
        wind: an acceleration [W, A, D] that acts on the vehicles.
        agents: [W, A, columns], see columns.py; changed. place: [W, A]; changed. stations: [W, columns]; changed.
        jitter: [W, 64, M, D], of new columns of up to M agents, in their spacings.
        gas, walls, grid, ends, vehicle: what all worlds share.
    """
    for w in range(first, last):
        if chosen[w]:
            for _ in range(steps):
                _move(follow, command[w], wind[w], agents[w], place[w], stations[w], walls, ends, vehicle)
                if ends.open:
                    _relabel(agents[w], place[w], stations[w], gas, ends)
                    _steer(stations[w], gas)
                    _new_columns(agents[w], place[w], stations[w], jitter[w], gas, ends)
                _look(ends.dt, agents[w], place[w], stations[w], gas, walls, grid, ends)
            if steps == 0:
                _look(0.0, agents[w], place[w], stations[w], gas, walls, grid, ends)


@inner
def _move(
    follow: bool, command: Array, wind: Array, agents: Array, place: Places, station: Array, walls: Walls, ends: Ends,
    vehicle: Vehicle,
) -> None:  # fmt: skip
    """Symplectic Euler: speeds first, then positions; vehicles inside by their command, others by stations."""
    dimensions = command.shape[1]
    asked, drone, told, turned, air = np.empty(dimensions), np.empty(13), np.empty(3), np.empty(9), np.zeros(3)
    towards = 1.0 - math.exp(-ends.dt / ends.relax)
    for i in range(agents.shape[0]):
        if place[i] == at.ABSENT:
            continue
        before = agents[i, at.POSITION]
        if place[i] == at.INSIDE:
            for d in range(dimensions):
                asked[d] = agents[i, at.PUSH + d] + agents[i, at.DRAG + d] if follow else command[i, d]
            shorten(asked, vehicle.most)
            if vehicle.kind == QUADCOPTER:
                fly_quadcopter(vehicle, agents[i], ends.dt, asked, drone, told, air, turned)
            else:
                accelerate_vehicle(vehicle, agents[i], ends.dt, asked)
            for d in range(dimensions):
                agents[i, at.VELOCITY + d] += ends.dt * wind[i, d]
        else:
            _fly_evenly(agents[i], place[i] == at.INLET, station, towards, vehicle)
        for d in range(dimensions):
            agents[i, at.POSITION + d] += ends.dt * agents[i, at.VELOCITY + d]
        if before < ends.throat <= agents[i, at.POSITION]:
            station[at.PASSED] += 1.0
        elif agents[i, at.POSITION] < ends.throat <= before:
            station[at.PASSED] -= 1.0
        _hold_off(agents[i], dimensions, station, walls, ends.clearance)


@inner
def _fly_evenly(agent: Array, entering: bool, station: Array, towards: float, vehicle: Vehicle) -> None:
    """In the zones the stations steer: the inlet's speed, or towards the outlet's unless that coasts."""
    for d in range(3):
        if entering:
            agent[at.VELOCITY + d] = station[at.U_INLET] if d == 0 else 0.0
        elif station[at.COASTING] == 0.0:
            agent[at.VELOCITY + d] += towards * ((station[at.U_ZONE] if d == 0 else 0.0) - agent[at.VELOCITY + d])
        agent[at.MEMORY + d] = agent[at.VELOCITY + d] if vehicle.kind == FOLLOW_VELOCITY else 0.0
        agent[at.RATE + d] = 0.0
    level_off(agent)


@inner
def _hold_off(agent: Array, dimensions: int, station: Array, walls: Walls, clearance: float) -> None:
    """The safety clamp: an agent nearer to a wall than the clearance is put back there and stopped along the normal."""
    for which in range(2):
        x, y, z = agent[at.POSITION], agent[at.POSITION + 1], agent[at.POSITION + 2]
        if which == 0:
            distance, nx, ny, nz = nearest_wall(x, y, z, clearance, walls)
        else:
            distance, nx, ny, nz = nearest_obstacle(x, y, z, walls)
        if distance < clearance:
            station[at.CONTACTS] += 1.0
            speed = min(agent[at.VELOCITY] * nx + agent[at.VELOCITY + 1] * ny + agent[at.VELOCITY + 2] * nz, 0.0)
            normal = (nx, ny, nz)
            for d in range(dimensions):
                agent[at.POSITION + d] += (clearance - distance) * normal[d]
                agent[at.VELOCITY + d] -= speed * normal[d]


@inner
def _relabel(agents: Array, place: Places, station: Array, gas: Gas, ends: Ends) -> None:
    """Say who is where, take out who has left, and measure what is just inside each end."""
    exit_h = min(gas.eta * (gas.mass / station[at.RHO_OUT]) ** (1.0 / gas.dimensions), ends.most_h)
    end = ends.length + 4.6 * exit_h + ends.margin_out
    count_in, u_in, rho_in, count_out, u_out, rho_out, a_out = 0, 0.0, 0.0, 0, 0.0, 0.0, 0.0
    for i in range(agents.shape[0]):
        if place[i] == at.ABSENT:
            continue
        x = agents[i, at.POSITION]
        if x > end or x < -ends.zone_in - gas.spacing:
            place[i] = at.ABSENT
            station[at.LEFT] += 1.0
            for d in range(3):
                agents[i, at.PUSH + d], agents[i, at.DRAG + d] = 0.0, 0.0
        elif x < 0.0:
            if place[i] != at.INLET:
                place[i], agents[i, at.INJECTED] = at.INLET, agents[i, at.RHO]
        elif x > ends.length:
            place[i] = at.OUTLET
        else:
            place[i] = at.INSIDE
            if x < ends.station:
                count_in, u_in, rho_in = count_in + 1, u_in + agents[i, at.VELOCITY], rho_in + agents[i, at.RHO]
            if x > ends.length - ends.station:
                count_out, u_out = count_out + 1, u_out + agents[i, at.VELOCITY]
                rho_out, a_out = rho_out + agents[i, at.RHO], a_out + agents[i, at.ENTROPY]
    if count_in > 0:
        share = ends.dt / ends.time_in
        station[at.U_IN] += share * (u_in / count_in - station[at.U_IN])
        station[at.RHO_IN] += share * (rho_in / count_in - station[at.RHO_IN])
    if count_out > 0:
        share = ends.dt / ends.time_out
        station[at.U_OUT] += share * (u_out / count_out - station[at.U_OUT])
        station[at.RHO_OUT] += share * (rho_out / count_out - station[at.RHO_OUT])
        station[at.A_OUT] += share * (a_out / count_out - station[at.A_OUT])


@inner
def _steer(station: Array, gas: Gas) -> None:
    """Choose the zones' states."""
    station[at.U_INLET], station[at.RHO_INLET] = inlet(station[at.U_IN], station[at.RHO_IN], gas.gamma, gas.sound)
    back = station[at.BACK] * gas.sound * gas.sound / gas.gamma
    coasting, station[at.U_ZONE], station[at.P_ZONE] = outlet(
        station[at.U_OUT], station[at.RHO_OUT], station[at.A_OUT], back, gas.gamma, gas.sound
    )
    station[at.COASTING] = 1.0 if coasting else 0.0


@inner
def _new_columns(agents: Array, place: Places, station: Array, jitter: Array, gas: Gas, ends: Ends) -> None:
    """Put columns of agents in at the inlet zone's beginning as the last one moves on."""
    station[at.COLUMN] = max(station[at.COLUMN] + ends.dt * station[at.U_INLET], -ends.zone_in)
    rho = station[at.RHO_INLET]
    between = (gas.mass / rho) ** (1.0 / gas.dimensions)
    area = 2.0 * ends.half_in if gas.dimensions == 2 else math.pi * ends.half_in**2
    count = int(area / (between if gas.dimensions == 2 else between * between) + 0.5)
    count = min(max(count, 1), jitter.shape[1])
    spacing = count * gas.mass / (area * rho)
    free = 0
    while station[at.COLUMN] - spacing >= -ends.zone_in:
        station[at.COLUMN] -= spacing
        column = int(station[at.COLUMNS])
        station[at.COLUMNS] += 1.0
        for k in range(count):
            while free < place.shape[0] and place[free] != at.ABSENT:
                free += 1
            if free == place.shape[0]:
                station[at.MISSING] += 1.0
                continue
            station[at.ENTERED] += 1.0
            place[free] = at.INLET
            _put_in(agents[free], k, count, column, spacing, jitter[column % jitter.shape[0], k], station, gas, ends)


@inner
def _put_in(
    agent: Array, k: int, count: int, column: int, spacing: float, jitter: Array, station: Array, gas: Gas, ends: Ends
) -> None:
    """Agent k of a new column: evenly across a flat duct, on a sunflower's spiral in a round one."""
    agent[:] = 0.0
    agent[at.POSITION] = station[at.COLUMN] + spacing * jitter[0]
    if gas.dimensions == 2:
        shift = k + 0.5 + (0.25 if column % 2 == 0 else -0.25) + jitter[1]
        agent[at.POSITION + 1] = 2.0 * ends.half_in / count * shift - ends.half_in
    else:
        r, angle = ends.half_in * math.sqrt((k + 0.5) / count), GOLDEN * k + TURN * column
        agent[at.POSITION + 1] = r * math.cos(angle) + spacing * jitter[1]
        agent[at.POSITION + 2] = r * math.sin(angle) + spacing * jitter[2]
    agent[at.VELOCITY] = agent[at.FLOW] = station[at.U_INLET]
    agent[at.ENTROPY], agent[at.INJECTED], agent[at.RHO] = 1.0, station[at.RHO_INLET], station[at.RHO_INLET]
    agent[at.H] = gas.eta * (gas.mass / station[at.RHO_INLET]) ** (1.0 / gas.dimensions)


@inner
def _look(
    dt: float, agents: Array, place: Places, station: Array, gas: Gas, walls: Walls, grid: Grid, ends: Ends
) -> None:
    """Sense, take on the zones' states, derive accelerations; with dt, age the agents' A and h."""
    found, lists = sense(agents, place, ends.lead, gas, walls, grid)
    k = gas.sound * gas.sound / gas.gamma
    for i in range(agents.shape[0]):
        if place[i] == at.ABSENT:
            continue
        entropy = agents[i, at.ENTROPY]
        if place[i] == at.INLET:
            agents[i, at.RHO], agents[i, at.OMEGA] = agents[i, at.INJECTED], 1.0
        elif place[i] == at.OUTLET and station[at.COASTING] == 0.0:
            agents[i, at.RHO], agents[i, at.OMEGA] = (station[at.P_ZONE] / (k * entropy)) ** (1.0 / gas.gamma), 1.0
        rho = agents[i, at.RHO]
        agents[i, at.PRESSURE], agents[i, at.SOUND] = pressure_of(rho, entropy, gas), sound_of(rho, entropy, gas)
        if place[i] == at.INLET:
            agents[i, at.PRESSURE] = pressure_of(station[at.RHO_INLET], 1.0, gas)
        elif place[i] == at.OUTLET and station[at.COASTING] != 0.0:
            rho = station[at.RHO_OUT]  # at the zone's open end agents sense too few
        if dt > 0.0:
            wanted = gas.eta * (gas.mass / rho) ** (1.0 / gas.dimensions)
            agents[i, at.H] = min(max(agents[i, at.H] + 0.3 * (wanted - agents[i, at.H]), ends.least_h), ends.most_h)
    accelerate(found, lists, gas, agents)
    if gas.energy and dt > 0.0:
        for i in range(agents.shape[0]):
            if place[i] == at.INSIDE:
                agents[i, at.ENTROPY] += dt * agents[i, at.HEATING]
