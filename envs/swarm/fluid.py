"""Worlds of agents that move as a gas: arrays in, arrays out, batched over worlds.

The rules are those of a swarm that holds every branch of a nozzle flow: adaptive SPH (sph.py), walls as mirrors
(neighbours.py), stations at the ends (stations.py). Units: lengths and times are the duct's, in metres and seconds; the
density far upstream is 1, so an agent's mass is the area (2-D) or volume (3-D) that it has there.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.finite import is_finite
from agentgym.contracts.settings import Range, check_settings, finite_number, whole_number
from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.duct import Duct
from agentgym.envs.swarm.kernels import KERNELS
from agentgym.envs.swarm.neighbours import DISC, DUCT, NONE, Grid, Walls
from agentgym.envs.swarm.nozzle import Flow
from agentgym.envs.swarm.quadcopter import CRAZYFLIE
from agentgym.envs.swarm.sph import Gas
from agentgym.envs.swarm.stepping import GOLDEN, TURN, Ends, advance
from agentgym.envs.swarm.vehicles import VEHICLES, Vehicle
from agentgym.errors import InvalidParameter, NonFinite

__all__ = ["Arena", "Fluid", "Physics", "PoolTooSmall"]

Array = NDArray[np.float64]
COLUMNS = 64  # of jitter, used in turn
_BISECTIONS = 48  # of a range of h, down to rounding


class PoolTooSmall(InvalidParameter):
    """More agents come into a duct than the pool has room for."""


@dataclass(frozen=True)
class Physics:
    """The gas that agents imitate, how they sense it, and what they fly.

    Attributes: see the comments.
    """

    # Gas
    gamma: float = 1.4
    sound: float = 5.0  # c0, speed of sound at rest upstream, m/s
    tait: bool = False  # count the pressure from rest (with gamma 7: Tait's equation, nearly incompressible)
    energy: bool = True  # shocks heat (Rankine-Hugoniot); else the gas is barotropic

    # Sensing and forces
    mode: Literal["symmetric", "strict"] = "symmetric"  # strict: own state and what is within 2h only
    kernel: Literal["wendland", "cubic"] = "wendland"
    eta: float = 1.5  # smoothing length in spacings
    alpha: float = 0.5  # viscosity, linear
    beta: float = 1.0  # and quadratic, on approach
    damping: float = 0.0  # viscosity both ways
    lead: float = 0.0  # s, agents act on where positions will be; 1.25 lags is best

    step: float = 0.1  # time step, for which commands are held at least, in h / c0 at density 1

    # Vehicles
    vehicle: Literal["perfect", "acceleration", "velocity", "second-order", "quadcopter"] = "perfect"
    lag: float = 0.0  # s; a quadcopter has its own, see quadcopter.lag_of
    assumed_lag: float | None = None  # s, what the inverse takes the lag for; None: the true one
    inverse: bool = True  # of velocity-lagged vehicles
    damping_ratio: float = 0.7  # of second-order vehicles
    most: float = 0.0  # m/s^2, largest commanded acceleration; 0: no limit
    inner_rate: float = 240.0  # 1/s, of a quadcopter's physics and inner loops, to the nearest whole step of a command
    known_drag: float = 1.0  # share of its rotors' drag that a quadcopter makes up for

    def __post_init__(self) -> None:
        check_settings(self, _RANGES, "a swarm's physics")
        if self.lag and self.vehicle in ("perfect", "quadcopter"):
            raise InvalidParameter(
                f"lag is {self.lag:g}, and the vehicle {self.vehicle!r} has none to set: "
                "take acceleration, velocity or second-order."
            )

    @property
    def g(self) -> float:
        """(gamma - 1) / 2."""
        return (self.gamma - 1) / 2


_RANGES = {
    "gamma": Range(1, above=True), "sound": Range(0, above=True), "eta": Range(0.5, 4), "alpha": Range(0),
    "beta": Range(0), "damping": Range(0), "lead": Range(0), "lag": Range(0), "assumed_lag": Range(0, above=True),
    "step": Range(0, 0.25, above=True), "damping_ratio": Range(0), "most": Range(0),
    "inner_rate": Range(0, above=True), "known_drag": Range(0),
}  # fmt: skip


class Arena(NamedTuple):
    """Where agents fly.

    Attributes:
        dimensions: 2 or 3.
        duct: or None.
        radius: of a closed disc or ball about the origin; or None. Without either nothing bounds the agents.
        obstacles: [K, D + 1], centres and radii of circles or balls.
        open: whether agents come in and go out at a duct's ends; else they fly on through a longer duct.
    """

    dimensions: int = 2
    duct: Duct | None = None
    radius: float | None = None
    obstacles: Any = ()
    open: bool = True

    def walls(self) -> Walls:
        """As compiled functions read them."""
        given = np.asarray(self.obstacles, np.float64).reshape(-1, self.dimensions + 1)
        if not is_finite(given) or (given[:, -1] <= 0).any():
            raise InvalidParameter("Obstacles are finite centres and radii above 0.")
        round_ = np.zeros((len(given), 4))
        round_[:, : self.dimensions], round_[:, 3] = given[:, :-1], given[:, -1]
        kind = DUCT if self.duct is not None else DISC if self.radius is not None else NONE
        table = np.zeros((1, 4)) if self.duct is None else self.duct.coefficients
        steepest = 0.0 if self.duct is None else self.duct.steepest
        return Walls(kind, 1.0 if self.duct is None else self.duct.step, table, steepest, self.radius or 0.0, round_)


class Fluid:
    """W worlds of up to ``pool`` agents.

    Args:
        worlds: W.
        arena: where they fly.
        mass: of an agent, its area or volume at density 1; positive.
        physics: what they imitate and fly.
        pool: agents that there is room for in a world; None takes as many as the duct could need.
        threads: that share out the worlds. Results do not depend on it.

    ``fluid["positions"]`` is a view of that field of all worlds, [W, A] or [W, A, D]; columns.py lists the names.
    Absent agents' entries mean nothing.

    Attributes:
        agents: float64 [W, A, columns], all fields.
        place: int8 [W, A], ABSENT, INSIDE, INLET or OUTLET.
        stations: float64 [W, columns], what the stations at the ends know, and counts.
        jitter: float64 [W, 64, M, D], of new columns of agents, in their spacings.
        dt: time step.

    Raises:
        InvalidParameter: a number is out of range, or the duct is too narrow for agents of that mass.
        PoolTooSmall: the pool cannot hold the duct's fill at density 1; the message says how many are needed.
    """

    def __init__(
        self, worlds: int, arena: Arena, mass: float, physics: Physics | None = None, pool: int | None = None,
        threads: int = 1,
    ) -> None:  # fmt: skip
        self.worlds, self.threads = whole_number("worlds", worlds, 1), whole_number("threads", threads, 1)
        self.arena, self.physics = arena, physics or Physics()
        self.mass = finite_number("mass, the spacing of agents to the power of the dimensions,", mass, 0, above=True)
        self.spacing = self.mass ** (1 / arena.dimensions)
        given = self.physics
        self.gas = Gas(
            arena.dimensions, KERNELS[given.kernel], given.gamma, given.sound, given.tait, given.energy,
            given.mode == "strict", self.mass, self.spacing, given.eta, given.alpha, given.beta, given.damping,
        )  # fmt: skip
        self.h = given.eta * self.spacing
        self.dt = given.step * self.h / given.sound
        frame = CRAZYFLIE._replace(known_drag=given.known_drag)
        if arena.dimensions == 2:
            frame = frame._replace(height_gain=4.0, height_damping=3.0)
        self.vehicle = Vehicle(
            VEHICLES[given.vehicle], given.lag, given.assumed_lag or max(given.lag, 1e-12), given.inverse,
            given.damping_ratio, given.most, frame, max(round(given.inner_rate * self.dt), 1),
        )  # fmt: skip
        self.walls, self.ends = arena.walls(), self._ends()
        self.grid = self._grid()
        self.pool = self._pool(pool)
        self.agents = np.zeros((worlds, self.pool, at.AGENT_COLUMNS))
        self.place: NDArray[np.int8] = np.zeros((worlds, self.pool), np.int8)
        self.stations = np.zeros((worlds, at.STATION_COLUMNS))
        self.jitter = np.zeros((worlds, COLUMNS, self._column(1.5), arena.dimensions))
        self._workers = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self._still = np.zeros((worlds, self.pool, arena.dimensions))

    # What is fixed

    def _ends(self) -> Ends:
        duct, physics = self.arena.duct, self.physics
        open_, length = duct is not None and self.arena.open, 1.0 if duct is None else duct.length
        if duct is not None and float(duct.half(duct.throat)) < 1.5 * self.h:
            raise InvalidParameter(
                f"The duct's throat, {float(duct.half(duct.throat)):.3g} half high, is too narrow for agents "
                f"{self.spacing:.3g} apart: take more agents or a wider throat, at least {1.5 * self.h:.3g}."
            )
        passage = length / physics.sound
        return Ends(
            open_, length, duct.throat if duct else 0.0, float(duct.half(0.0)) if duct else 0.0,
            2.3 * 1.1 * self.h + self.spacing, self.spacing, 0.05 * length, passage / 12, passage / 24,
            0.2 * self.h / physics.sound, self.dt, 0.7 * self.h, 3 * self.h, 0.1 * self.spacing, physics.lead,
        )  # fmt: skip

    def _grid(self) -> Grid:
        """Cells of edge h over the arena; along a duct also over its zones and the images behind its walls."""
        cell, dimensions = self.h, self.arena.dimensions
        if (duct := self.arena.duct) is not None:
            wide = float(duct.half(np.linspace(0, duct.length, 512)).max()) + 3 * self.h
            low, high = np.full(3, -wide), np.full(3, wide)
            low[0], high[0] = -self.ends.zone_in - self.h, duct.length + 14 * self.h
        else:
            wide = self.arena.radius + 3 * self.h if self.arena.radius is not None else 50 * self.h
            low, high = np.full(3, -wide), np.full(3, wide)
        if dimensions == 2:
            low[2], high[2] = 0.0, cell
        nx, ny, nz = (max(math.ceil(each / cell), 1) for each in high - low)
        while nx * ny * nz > 4_000_000:
            cell *= 2
            nx, ny, nz = (max(math.ceil(each / cell), 1) for each in high - low)
        return Grid(float(low[0]), float(low[1]), float(low[2]), cell, nx, ny, nz)

    @property
    def needed(self) -> int:
        """Agents that fill the duct and its zones at density 1, and a twentieth more."""
        duct = self.arena.duct
        if duct is None:
            raise InvalidParameter("Without a duct, say how many agents there are: pool.")
        x = np.linspace(-self.ends.zone_in, duct.length + 4.6 * self.h + self.spacing, 2001)
        volume = float(np.trapezoid(duct.area(np.clip(x, 0, duct.length)), x))
        return math.ceil(1.05 * volume / self.mass) + self._column(1.0)

    def _column(self, rho: float) -> int:
        """Agents of an inlet column at a density, and a few more."""
        duct = self.arena.duct
        area = float(duct.area(0.0)) if duct else 0.0
        return math.ceil(1.1 * area / (self.mass / rho) ** ((self.arena.dimensions - 1) / self.arena.dimensions)) + 4

    def _pool(self, pool: int | None) -> int:
        if pool is None:
            return self.needed
        whole_number("pool", pool, 1)
        if self.ends.open and pool < self.needed:
            raise PoolTooSmall(f"pool is {pool}; this duct needs room for {self.needed} agents.")
        return pool

    def __getitem__(self, name: str) -> Array:
        """A field of all worlds: a view [W, A], of vectors [W, A, D]."""
        first, vector = at.FIELDS[name]
        return self.agents[..., first : first + self.arena.dimensions] if vector else self.agents[..., first]

    # Episodes

    def clear(self, world: int) -> None:
        """Take all agents out of a world and forget what happened there."""
        for each in (self.agents, self.place, self.stations, self.jitter):
            each[world] = 0
        self.agents[world, :, at.ATTITUDE] = self.stations[world, at.BACK] = 1.0

    def fill(self, world: int, flow: Flow, back: float, random: np.random.Generator, moving: bool = True) -> None:
        """Fill a world's duct as a flow along it has it, with agents in jittered columns.

        Args:
            world: which.
            flow: what quasi-1-D theory says, see :func:`agentgym.envs.swarm.nozzle.quasi_1d`.
            back: the back pressure from now on, over the stagnation pressure.
            random: what jitters the columns.
            moving: whether agents move with the flow; else they start at rest, at density 1.

        Raises:
            PoolTooSmall: the pool has no room for them.
        """
        duct, ends, gas = self.arena.duct, self.ends, self.gas
        assert duct is not None
        self.clear(world)
        self.jitter[world] = random.uniform(-0.1, 0.1, self.jitter.shape[1:])
        scale = gas.sound**2 / gas.gamma

        def flow_at(x: float) -> tuple[float, float, float]:
            u, rho, p = (float(flow.at(name, np.array([x]))[0]) for name in ("u", "rho", "p"))
            return (u, rho, p / scale / rho**gas.gamma) if moving else (0.0, 1.0, 1.0)

        self._begin_stations(world, flow_at(0.0), flow_at(duct.length), back)
        end = (
            duct.length
            + 4.6 * gas.eta * (self.mass / flow_at(duct.length)[1]) ** (1 / gas.dimensions)
            + ends.margin_out
        )
        x, column, place = -ends.zone_in, 0, 0
        while x < end:
            u, rho, entropy = flow_at(x)
            half, between = float(duct.half(x)), (self.mass / rho) ** (1 / gas.dimensions)
            area = 2 * half if gas.dimensions == 2 else math.pi * half**2
            count = max(round(area / between ** (gas.dimensions - 1)), 1)
            spacing = count * self.mass / (area * rho)
            if place + count > self.pool:
                raise PoolTooSmall(f"The pool of {self.pool} agents cannot fill the duct: {self.needed} are needed.")
            rows = slice(place, place + count)
            self._column_at(world, rows, x + spacing / 2, half, column, spacing, random)
            self["velocities"][world, rows, 0] = u
            for name, value in (("entropy", entropy), ("injected", rho), ("rho", rho), ("h", gas.eta * between)):
                self[name][world, rows] = value
            if column == 0:
                self.stations[world, at.COLUMN] = x + spacing / 2
            x, column, place = x + spacing, column + 1, place + count
        self._point_along(world, slice(0, place), duct)
        where = self["positions"][world, :place, 0]
        self.place[world, :place] = np.where(where < 0, at.INLET, np.where(where > duct.length, at.OUTLET, at.INSIDE))
        for circle in np.asarray(self.arena.obstacles).reshape(-1, gas.dimensions + 1):
            away = np.linalg.norm(self["positions"][world] - circle[:-1], axis=1)
            self.place[world, away < circle[-1] + ends.clearance] = at.ABSENT
        if self.vehicle.kind == VEHICLES["velocity"]:
            self["memory"][world] = self["velocities"][world]
        self.stations[world, at.COLUMNS] = column

    def _begin_stations(
        self, world: int, first: tuple[float, float, float], last: tuple[float, float, float], back: float
    ) -> None:
        """What the stations go by at first: speed, density and A at both ends."""
        station, gas = self.stations[world], self.gas
        station[[at.U_IN, at.RHO_IN]] = station[[at.U_INLET, at.RHO_INLET]] = first[:2]
        station[[at.U_OUT, at.RHO_OUT, at.A_OUT]] = last
        station[[at.COASTING, at.U_ZONE, at.BACK]] = 1.0, last[0], back
        station[at.P_ZONE] = gas.sound**2 / gas.gamma * last[2] * last[1] ** gas.gamma

    def _column_at(
        self, world: int, rows: slice, x: float, half: float, column: int, spacing: float, random: np.random.Generator
    ) -> None:
        positions = self["positions"][world, rows]
        count = len(positions)
        k = np.arange(count)
        jitter = random.uniform(-0.1, 0.1, positions.shape)
        positions[:, 0] = x + spacing * jitter[:, 0]
        if self.arena.dimensions == 2:
            apart = 2 * half / count
            positions[:, 1] = apart * (k + 0.5 + (0.25 if column % 2 == 0 else -0.25) + jitter[:, 1]) - half
        else:
            r, angle = half * np.sqrt((k + 0.5) / count), GOLDEN * k + TURN * column
            positions[:, 1] = r * np.cos(angle) + spacing * jitter[:, 1]
            positions[:, 2] = r * np.sin(angle) + spacing * jitter[:, 2]

    def _point_along(self, world: int, rows: slice, duct: Duct) -> None:
        """Give agents a speed across the axis in proportion to their distance from it: walls are not crossed."""
        positions, velocities = self["positions"][world, rows], self["velocities"][world, rows]
        x = positions[:, 0]
        tilt = (duct.half(x + 1e-4) - duct.half(x - 1e-4)) / 2e-4 / duct.half(x)
        velocities[:, 1:] = (velocities[:, 0] * tilt)[:, None] * positions[:, 1:]

    def put(self, world: int, positions: Any, velocities: Any = 0.0) -> None:
        """Put agents into a world that has none: positions [n, D], velocities [n, D] or 0.

        Raises:
            NonFinite: an entry is NaN or infinite.
            InvalidParameter: there are more than the pool has room for.
        """
        positions = np.asarray(positions, np.float64)
        if not (is_finite(positions) and is_finite(np.asarray(velocities, np.float64))):
            raise NonFinite("Agents' positions and velocities must be finite.")
        if positions.ndim != 2 or positions.shape[1] != self.arena.dimensions or len(positions) > self.pool:
            raise InvalidParameter(
                f"Positions are [n, {self.arena.dimensions}], at most {self.pool} of them, not {list(positions.shape)}."
            )
        self.clear(world)
        count = len(positions)
        self["positions"][world, :count], self["velocities"][world, :count] = positions, velocities
        self["h"][world, :count], self["entropy"][world, :count] = self.h, 1.0
        self.place[world, :count] = at.INSIDE

    def set_back_pressure(self, value: float, worlds: NDArray[np.bool_] | None = None) -> None:
        """Change the back pressure, over the stagnation pressure, from now on, in the worlds [W] or in all.

        Raises:
            InvalidParameter: it is not above 0 and below 1.
        """
        if finite_number("back_pressure", value, 0, above=True) >= 1:
            raise InvalidParameter(f"back_pressure is {value} times the stagnation pressure; it must be below 1.")
        self.stations[slice(None) if worlds is None else worlds, at.BACK] = value

    # Time

    def look(self, chosen: NDArray[np.bool_] | None = None) -> None:
        """Sense in the chosen worlds [W], in all by default, without moving."""
        self._step(0, True, self._still, chosen, self._still)

    def settle(self, world: int) -> int:
        """Find smoothing lengths that fit the densities of agents inside, by bisection, without moving.

        rho h^D grows with h, so at most one h is eta spacings of its own density.

        Returns:
            how many agents no allowed h fits: crowded or scattered ones have the least or the largest.
        """
        mask, inside = np.arange(self.worlds) == world, self.inside[world]
        h = self["h"][world]
        low, high = np.full(self.pool, self.ends.least_h), np.full(self.pool, self.ends.most_h)
        for _ in range(_BISECTIONS):
            middle = np.sqrt(low * high)
            h[inside] = middle[inside]
            self.look(mask)
            small = self._misfit(world) < 0
            low, high = np.where(small, middle, low), np.where(small, high, middle)
        return int((np.abs(self._misfit(world))[inside] > 1e-6).sum())

    def _misfit(self, world: int) -> Array:
        """By what share each agent's h is longer than eta spacings of its density [A]."""
        gas = self.gas
        wanted = gas.eta * (gas.mass / np.maximum(self["rho"][world], 1e-300)) ** (1 / gas.dimensions)
        return self["h"][world] / wanted - 1

    def advance(
        self, steps: int = 1, command: Array | None = None, chosen: NDArray[np.bool_] | None = None,
        wind: Array | None = None,
    ) -> None:  # fmt: skip
        """Step the chosen worlds.

        Args:
            steps: time steps of ``dt``.
            command: accelerations [W, A, D] that vehicles are told and hold; None: in each step what they sense.
            chosen: [W]; all by default.
            wind: accelerations [W, A, D] that act on vehicles; none by default.

        Raises:
            NonFinite: a command is NaN or infinite; the message says of which agent.
            PoolTooSmall: agents found no place in the pool.
        """
        told = self._still if command is None else np.asarray(command, np.float64)
        if not is_finite(told):
            world, agent, axis = np.argwhere(~np.isfinite(told))[0].tolist()
            raise NonFinite(f"The command of agent {agent} in world {world} is {told[world, agent, axis]}.")
        mask = self._step(steps, command is None, told, chosen, self._still if wind is None else wind)
        if (missing := self.stations[mask, at.MISSING]).any():
            raise PoolTooSmall(
                f"{int(missing.max())} agents found no place in the pool of {self.pool}: give it room for "
                f"{max(self.needed, self.pool + 2 * int(missing.max()))}."
            )

    def _step(
        self, steps: int, follow: bool, command: Array, chosen: NDArray[np.bool_] | None, wind: Array
    ) -> NDArray[np.bool_]:
        """Worlds are independent of each other, so threads share them out without changing a bit."""
        mask = np.ones(self.worlds, bool) if chosen is None else chosen

        def task(first: int, last: int) -> None:
            advance(
                first, last, mask, steps, follow, command, wind, self.agents, self.place, self.stations, self.jitter,
                self.gas, self.walls, self.grid, self.ends, self.vehicle,
            )  # fmt: skip

        if self._workers is None:
            task(0, self.worlds)
        else:
            cuts = np.linspace(0, self.worlds, self.threads + 1).astype(int).tolist()
            list(self._workers.map(task, cuts[:-1], cuts[1:]))
        return mask

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which agents are there, [W, A]."""
        return np.not_equal(self.place, at.ABSENT)

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Which agents are in the duct proper, [W, A]."""
        return np.equal(self.place, at.INSIDE)

    def get_state(self) -> dict[str, Any]:
        """All arrays by name, copied."""
        return {name: getattr(self, name).copy() for name in _ARRAYS}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` gave.

        Raises:
            InvalidParameter: an array is missing or has another shape; nothing was changed.
        """
        given = {name: np.asarray(state[name]) for name in _ARRAYS if name in state}
        wrong = [name for name in _ARRAYS if name not in given or given[name].shape != getattr(self, name).shape]
        if wrong:
            raise InvalidParameter(f"This is the state of another swarm: {', '.join(wrong)} does not fit.")
        for name, array in given.items():
            getattr(self, name)[...] = array


_ARRAYS = ("agents", "place", "stations", "jitter")
