"""Everything that can be chosen about a swarm, and the tasks' named choices."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from agentgym.contracts.settings import Range, check_settings
from agentgym.envs.swarm.duct import Duct
from agentgym.envs.swarm.fluid import Arena, Physics
from agentgym.envs.swarm.nozzle import Flow, quasi_1d
from agentgym.envs.swarm.quadcopter import lag_of
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.seeding import stream

__all__ = ["PRESETS", "REGIMES", "Swarm", "swarm"]

# Back pressure over stagnation pressure: in the test duct a Mach number of 0.35 in the exit, a shock with Mach 1.57
# ahead of it, and a supersonic exit
REGIMES = {"sub": 0.9188, "shock": 0.798, "choked": 0.1}
TRIES = 1000  # for each obstacle


@dataclass(frozen=True)
class Swarm:
    """One swarm and its task. Lengths in metres, times in seconds.

    Attributes: see the comments; each is a keyword argument of the environments.
    """

    # Task
    task: Literal["nozzle", "obstacles", "coverage"] = "nozzle"
    agents: int = 256  # about so many are inside; the pool has room for more
    seconds: float = 30.0  # an episode is so long
    regime: str = "sub"  # sub, shock, choked or mixed, which draws one each episode; see back_pressure
    back_pressure: float | None = None  # over the stagnation pressure, instead of a regime
    start: Literal["flow", "rest"] = "flow"  # quasi-1-D flow or rest at density 1
    length: float = 60.0  # of the duct
    inlet: float = 10.0  # half-height or radius there
    throat: float = 6.0  # and at the throat; "obstacles" has a straight duct
    radius: float = 16.0  # of the disc of "coverage"
    obstacles: int = 0
    obstacle_radius: float = 2.5
    layout: int = 0  # seed of the obstacles' places
    dimensions: int = 2

    # Gas, sensing and vehicles
    gamma: float = 1.4
    sound: float = 5.0  # c0, m/s
    energy: bool = False
    mode: Literal["symmetric", "strict"] = "symmetric"
    alpha: float = 0.5
    beta: float = 1.0
    damping: float = 0.0
    vehicle: Literal["perfect", "acceleration", "velocity", "second-order", "quadcopter"] = "perfect"
    lag: float = 0.0  # in h / c0; a quadcopter has its own
    lead: float = 0.0  # in lags
    step: float = 0.1  # time step, in h / c0
    hold: int = 1  # time steps that a command is held

    # What actions mean: corrections of this controller's commands; those of "zero" are the commands themselves
    residual_on: Literal["zero", "sph"] = "sph"
    acceleration: float = 0.3  # of an action of 1, in c0^2 / h

    # Reward of an agent that is inside: speed along the duct / c0 (coverage: -|density - 1|), less these
    energy_weight: float = 0.05  # times the squared command in units of an action of 1
    collision_weight: float = 1.0  # where another agent or a wall is nearer than the collision distance
    collision: float = 0.2  # in spacings

    # What goes wrong
    noise: float = 0.0  # standard deviation of sensed positions, in spacings, anew in each step
    sensing: float = 9.0  # the range 2h is at most so many spacings, which no regime of the test duct needs
    delay: int = 0  # steps that commands come late
    faulty: float = 0.0  # share of agents that do not obey
    adversarial: float = 0.0  # share of agents that brake as hard as they can
    dropout: float = 0.0  # share of agents that fall out within an episode
    wind: float = 0.0  # standard deviation of a gust on all agents, in 0.1 c0^2 / h

    # Observation and pictures
    pooled: bool = False  # one agent sees means in bins along x and moves bins
    bins: int = 20
    threads: int = 1

    def __post_init__(self) -> None:
        check_settings(self, _RANGES, "a swarm")
        if self.regime not in (*REGIMES, "mixed"):
            raise UnknownId("regime", self.regime, (*REGIMES, "mixed"))
        if self.dimensions not in (2, 3):
            raise InvalidParameter(f"dimensions of a swarm is {self.dimensions}; it must be 2 or 3.")
        if self.faulty + self.adversarial > 1:
            raise InvalidParameter("faulty + adversarial are shares of all agents: at most 1 together.")
        if self.back_pressure is not None and not 0 < self.back_pressure < 1:
            raise InvalidParameter(
                f"back_pressure of a swarm is {self.back_pressure} times the stagnation pressure; it must be above 0 "
                "and below 1."
            )
        if self.throat > self.inlet:
            raise InvalidParameter(f"throat is {self.throat}, wider than the inlet, {self.inlet}.")

    def arena(self) -> Arena:
        """Where agents fly.

        Raises:
            InvalidParameter: there is no room for so many obstacles; the message says how many there is room for.
        """
        circles = self._circles()
        if self.task == "coverage":
            return Arena(self.dimensions, None, self.radius, circles)
        throat = self.throat if self.task == "nozzle" else self.inlet
        duct = Duct.converging_diverging(self.length, self.inlet, throat, self.dimensions)
        return Arena(self.dimensions, duct, None, circles)

    def _circles(self) -> np.ndarray:
        """Obstacles [K, D + 1] that leave room between each other and the walls."""
        random, placed = stream(self.layout, "swarm", "obstacles"), np.zeros((0, self.dimensions + 1))
        apart, r = 3 * self.obstacle_radius, self.obstacle_radius
        low, high = np.full(self.dimensions, -self.inlet + 2 * r), np.full(self.dimensions, self.inlet - 2 * r)
        low[0], high[0] = 0.2 * self.length, 0.8 * self.length
        if self.task == "coverage":
            low, high = np.full(self.dimensions, -self.radius), np.full(self.dimensions, self.radius)
        for _ in range(self.obstacles):
            for _ in range(TRIES):
                at = random.uniform(np.minimum(low, high), np.maximum(low, high))
                free = (np.linalg.norm(placed[:, :-1] - at, axis=1) > apart).all()
                if free and (self.task != "coverage" or np.linalg.norm(at) < self.radius - 2 * r):
                    placed = np.concatenate((placed, [[*at, r]]))
                    break
            else:
                raise InvalidParameter(
                    f"There is room for {len(placed)} obstacles of radius {r:g} here, not for {self.obstacles}."
                )
        return placed

    def flow(self, arena: Arena, back: float) -> Flow:
        """Quasi-1-D flow through the arena's duct at a back pressure."""
        assert arena.duct is not None
        return quasi_1d(arena.duct, back, self.gamma, self.sound, self.energy)

    def back(self, regime: str) -> float:
        """The back pressure over the stagnation pressure."""
        return REGIMES[regime] if self.back_pressure is None else self.back_pressure

    def mass(self, arena: Arena) -> float:
        """Of an agent, so that about ``agents`` are inside."""
        if arena.duct is None:
            unit = math.pi if self.dimensions == 2 else 4 / 3 * math.pi
            free = self.radius**self.dimensions - (arena.obstacles[:, -1] ** self.dimensions).sum()
            return unit * float(free) / self.agents
        flow = self.flow(arena, self.back("sub" if self.regime == "mixed" else self.regime))
        return float(np.trapezoid(flow.rho * arena.duct.area(flow.x), flow.x)) / self.agents

    def physics(self, h: float) -> Physics:
        """The gas and the vehicles, for a smoothing length."""
        lag = self.lag * h / self.sound
        lead = self.lead * (lag_of() if self.vehicle == "quadcopter" else lag)
        return Physics(
            gamma=self.gamma, sound=self.sound, energy=self.energy, mode=self.mode, alpha=self.alpha, beta=self.beta,
            damping=self.damping, vehicle=self.vehicle, lag=lag, lead=lead, step=self.step,
        )  # fmt: skip


_RANGES = {
    "agents": Range(16, 1_000_000), "seconds": Range(0, above=True), "length": Range(0, above=True),
    "inlet": Range(0, above=True), "throat": Range(0, above=True), "radius": Range(0, above=True),
    "obstacles": Range(0, 1000), "obstacle_radius": Range(0, above=True), "layout": Range(0),
    "gamma": Range(1, above=True), "sound": Range(0, above=True), "alpha": Range(0), "beta": Range(0),
    "damping": Range(0), "lag": Range(0), "lead": Range(0), "step": Range(0, 0.25, above=True),
    "hold": Range(1, 100),
    "acceleration": Range(0, above=True), "energy_weight": Range(0), "collision_weight": Range(0),
    "collision": Range(0), "noise": Range(0), "sensing": Range(2.2), "delay": Range(0, 1000), "faulty": Range(0, 1),
    "adversarial": Range(0, 1), "dropout": Range(0, 1), "wind": Range(0), "bins": Range(2, 1000),
    "threads": Range(1, 256),
}  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    "nozzle": {},
    "obstacles": {
        "task": "obstacles",
        "agents": 400,
        "obstacles": 5,
        "obstacle_radius": 2.0,
        "back_pressure": 0.93,
    },
    "coverage": {"task": "coverage", "damping": 1.0, "seconds": 20.0},
}


def swarm(preset: str, **changes: Any) -> Swarm:
    """The preset of that name, with changes.

    Raises:
        UnknownId: there is no such preset or setting; the message gives the nearest.
        InvalidParameter, NonFinite: a value is not what it may be.
    """
    if preset not in PRESETS:
        raise UnknownId("preset", str(preset), PRESETS)
    known = [each.name for each in fields(Swarm)]
    for name in changes:
        if name not in known:
            raise UnknownId("setting of a swarm", name, known)
    return replace(Swarm(**PRESETS[preset]), **changes)
