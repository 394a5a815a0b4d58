"""W swarms with their own random streams, faults and records: what the doors step."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.fluid import Fluid
from agentgym.envs.swarm.judging import BRAKES, DISOBEYS, SUMS, commands, judge
from agentgym.envs.swarm.nozzle import Flow
from agentgym.envs.swarm.presets import REGIMES, Swarm
from agentgym.envs.swarm.score import Profiles, separations
from agentgym.errors import InvalidParameter
from agentgym.seeding import restore, state_of, stream

__all__ = ["Outcome", "World"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
STREAMS = ("columns", "regime", "faults", "noise", "wind", "dropout")
GUST = 20  # steps that a gust lasts
_FLOWS = 64  # references that are kept


class Outcome(NamedTuple):
    """What a step gives, of all worlds; entries of those that were not stepped mean nothing.

    Attributes:
        means: [W], mean rewards of the agents inside.
        rewards: [W, A], 0 for agents that are not inside.
        inside: bool [W, A], who was told something.
        collisions: int64 [W], agents nearer to another one than the collision distance.
    """

    means: Array
    rewards: Array
    inside: Mask
    collisions: NDArray[np.int64]


class World:
    """W swarms of one setting.

    Args:
        setting: what all of them are.
        count: W.

    Attributes:
        fluid: the agents.
        told: [W, A, D], accelerations that agents were told last.
        unit: acceleration of an action of 1.
        steps: of an episode.
    """

    def __init__(self, setting: Swarm, count: int) -> None:
        self.setting, self.count, self.arena = setting, count, setting.arena()
        mass = setting.mass(self.arena)
        h = 1.5 * mass ** (1 / setting.dimensions)
        pool = setting.agents if self.arena.duct is None else None
        self.fluid = Fluid(count, self.arena, mass, setting.physics(h), pool, setting.threads)
        most_h = min(self.fluid.ends.most_h, setting.sensing * self.fluid.spacing / 2)
        least_h = min(self.fluid.ends.least_h, most_h)
        self.fluid.ends = self.fluid.ends._replace(most_h=most_h, least_h=least_h)
        self.unit = setting.acceleration * setting.sound**2 / h
        self.step_time = setting.hold * self.fluid.dt
        self.steps = max(round(setting.seconds / self.step_time), 1)
        self._flows: dict[float, Flow] = {}
        shape = (count, self.fluid.pool)
        self.told = np.zeros((*shape, setting.dimensions))
        self._late = np.zeros((count, setting.delay + 1, *shape[1:], setting.dimensions))
        self._gust = np.zeros((count, setting.dimensions))
        self._role = np.zeros(shape, np.int8)  # DISOBEYS, BRAKES or 0
        self._leaves = np.full(shape, -1, np.int64)  # step in which an agent falls out
        self._since = np.full(shape, np.nan)  # when an agent came inside
        self._sums = np.zeros((count, SUMS))
        self.elapsed = np.zeros(count, np.int64)
        self.profiles = Profiles(self.fluid) if self.arena.duct is not None else None
        self._streams: list[dict[str, np.random.Generator]] = [{} for _ in range(count)]

    # Episodes

    def seed(self, index: int, seed: int) -> None:
        """Fix everything in one world from here on."""
        self._streams[index] = {name: stream(seed, "swarm", name) for name in STREAMS}

    def start(self, chosen: Mask, regime: str | None = None, back: float | None = None) -> None:
        """Begin an episode in the chosen worlds."""
        for index in np.flatnonzero(chosen).tolist():
            draws = self._streams[index]
            names = tuple(REGIMES) if self.setting.regime == "mixed" else (self.setting.regime,)
            drawn = names[int(draws["regime"].random() * len(names))]
            if self.arena.duct is None:
                self._scatter(index, draws["columns"])
            else:
                pressure = self.setting.back(regime or drawn) if back is None else back
                flow = self._flow_at(pressure)
                self.fluid.fill(index, flow, pressure, draws["columns"], self.setting.start == "flow")
            self._break(index, draws["faults"])
            for each in (self.told, self._late, self._gust, self._sums):
                each[index] = 0.0
            self._since[index], self.elapsed[index] = np.nan, 0
            if self.profiles is not None:
                self.profiles.clear(index)
        self.fluid.look(chosen)

    def flow(self, index: int) -> Flow:
        """The reference: quasi-1-D flow at a world's back pressure as it is now."""
        return self._flow_at(float(self.fluid.stations[index, at.BACK]))

    def _flow_at(self, back: float) -> Flow:
        if back not in self._flows:
            if len(self._flows) >= _FLOWS:
                self._flows.clear()
            self._flows[back] = self.setting.flow(self.arena, back)
        return self._flows[back]

    def _scatter(self, index: int, random: np.random.Generator) -> None:
        """Coverage starts from a crowd of density 4 somewhere on the left, outside of obstacles."""
        setting, fluid = self.setting, self.fluid
        size = fluid.pool * fluid.mass / 4
        r = (size / np.pi) ** 0.5 if setting.dimensions == 2 else (size * 0.75 / np.pi) ** (1 / 3)
        centre = np.zeros(setting.dimensions)
        centre[0] = -0.9 * (setting.radius - r) * random.random()
        placed = np.zeros((0, setting.dimensions))
        for _ in range(100):
            more = random.uniform(-r, r, (4 * fluid.pool, setting.dimensions))
            more = more[np.linalg.norm(more, axis=1) < r] + centre
            for circle in self.arena.obstacles:
                more = more[np.linalg.norm(more - circle[:-1], axis=1) > circle[-1] + 0.2 * fluid.spacing]
            placed = np.concatenate((placed, more))
            if len(placed) >= fluid.pool:
                break
        else:
            raise InvalidParameter(f"{len(placed)} agents fit where coverage starts, not {fluid.pool}.")
        fluid.put(index, placed[: fluid.pool])
        fluid.settle(index)

    def _break(self, index: int, random: np.random.Generator) -> None:
        """Who does not obey, who brakes, and who falls out when; by place in the pool."""
        setting, pool = self.setting, self.fluid.pool
        order, draw = random.permutation(pool), random.random(pool)
        faulty = round(setting.faulty * pool)
        self._role[index] = 0
        self._role[index, order[:faulty]] = DISOBEYS
        self._role[index, order[faulty : faulty + round(setting.adversarial * pool)]] = BRAKES
        when = (draw / setting.dropout * self.steps).astype(np.int64) if setting.dropout else np.full(pool, -1)
        self._leaves[index] = np.where(draw < setting.dropout, when, -1)

    # Time

    def sensed(self) -> Array:
        """Accelerations [W, A, D] by what agents sense: the SPH controller's commands."""
        return self.fluid["push"] + self.fluid["drag"]

    def act(self, actions: Array, active: Mask) -> Outcome:
        """Hold commands [W, A, D], in units of an action of 1, for one step of the active worlds."""
        setting, fluid = self.setting, self.fluid
        command = commands(actions, fluid.agents, self.unit, setting.residual_on == "sph", self._role)
        if setting.delay:
            self._late[active] = np.roll(self._late[active], 1, axis=1)
            self._late[active, 0] = command[active]
            late = active[:, None] & (self._role == 0)
            command = np.where(late[..., None], self._late[:, -1], command)
        self.told[active] = command[active]
        before = fluid.place.copy()
        self._sway(active)
        fluid.advance(setting.hold, command, active, self._wind())
        self._drop_out(active)
        self.elapsed += active
        outcome = judge(
            active, self.elapsed * self.step_time, before, fluid.place, fluid.agents, self.told, self._near(),
            self.arena.duct is not None, setting.sound, self.unit, fluid.h, setting.collision * fluid.spacing,
            setting.energy_weight, setting.collision_weight, self._since, self._sums,
        )  # fmt: skip
        if self.profiles is not None:
            for index in np.flatnonzero(active & (2 * self.elapsed > self.steps)).tolist():
                self.profiles.add(fluid, index, self.told[index])
        return Outcome(*outcome)

    def _sway(self, active: Mask) -> None:
        """Draw the errors of sensed positions and the gusts of this step."""
        setting, fluid = self.setting, self.fluid
        if not setting.noise and not setting.wind:
            return
        for index in np.flatnonzero(active).tolist():
            draws = self._streams[index]
            if setting.noise:
                blur = draws["noise"].normal(size=fluid["blur"].shape[1:])
                fluid["blur"][index] = setting.noise * fluid.spacing * blur
            if setting.wind:
                keep = 1 - 1 / GUST
                self._gust[index] = keep * self._gust[index] + (1 - keep**2) ** 0.5 * draws["wind"].normal(
                    size=setting.dimensions
                )

    def _wind(self) -> Array | None:
        if not self.setting.wind:
            return None
        strength = self.setting.wind * 0.1 * self.setting.sound**2 / self.fluid.h
        return np.broadcast_to(strength * self._gust[:, None], self.told.shape).copy()

    def _drop_out(self, active: Mask) -> None:
        if self.setting.dropout:
            gone = active[:, None] & (self._leaves == self.elapsed[:, None]) & self.fluid.inside
            self.fluid.place[gone] = at.ABSENT
            self.fluid["push"][gone] = self.fluid["drag"][gone] = 0.0

    def _near(self) -> Array:
        """Distance of each agent's nearest one [W, A], where they are."""
        fluid = self.fluid
        if not fluid.physics.lead and not self.setting.noise:
            return fluid["nearest"].copy()
        return np.stack([separations(fluid, index) for index in range(self.count)])

    def measures(self, index: int) -> dict[str, float]:
        """Numbers about a world's episode so far; errors and profiles are of its second half."""
        transits, time, *sums, steps = self._sums[index].tolist()
        collisions, effort, uneven, unsettled = (each / max(steps, 1) for each in sums)
        found = {
            "collisions": collisions, "effort": effort, "unsettled": unsettled,
            "agents": float(self.fluid.inside[index].sum()),
        }  # fmt: skip
        if self.profiles is None:
            return {**found, "density_error": uneven}
        found |= {"throughput": self.fluid.stations[index, at.PASSED] / max(steps * self.step_time, 1e-12)}
        if transits:
            found["transit_time"] = time / transits
        if self.setting.task == "nozzle" and self.profiles.looks[index]:
            found |= self.profiles.measures(self.fluid, self.flow(index), index)
        return {name: float(value) for name, value in found.items() if np.isfinite(value)}

    # State

    def get_state(self) -> dict[str, Any]:
        """Everything that the future depends on."""
        state: dict[str, Any] = {name: getattr(self, name).copy() for name in _ARRAYS}
        if self.profiles is not None:
            state["profiles"] = self.profiles.get_state()
        streams = [{name: state_of(draws) for name, draws in each.items()} for each in self._streams]
        return {**state, "fluid": self.fluid.get_state(), "streams": streams}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` gave.

        Raises:
            InvalidParameter: it is the state of another swarm; nothing was changed.
        """
        given = {name: np.asarray(state.get(name)) for name in _ARRAYS}
        wrong = [name for name in _ARRAYS if given[name].shape != getattr(self, name).shape]
        if wrong or len(state.get("streams", ())) != self.count:
            raise InvalidParameter("This is the state of another swarm.")
        self.fluid.set_state(state["fluid"])
        for name, array in given.items():
            getattr(self, name)[...] = array
        if self.profiles is not None:
            self.profiles.set_state(state["profiles"])
        for index, each in enumerate(state["streams"]):
            self._streams[index] = {name: stream(0, name) for name in each}
            for name, saved in each.items():
                restore(self._streams[index][name], saved)


_ARRAYS = ("told", "_late", "_gust", "_role", "_leaves", "_since", "_sums", "elapsed")
