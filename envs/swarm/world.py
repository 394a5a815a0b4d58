"""W swarms with their own random streams, faults and records: what the doors step."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.swarm import columns as at
from agentgym.envs.swarm.fluid import Fluid
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


class Outcome(NamedTuple):
    """What a step gives, of all worlds; entries of those that were not stepped mean nothing.

    Attributes:
        rewards: [W, A], 0 for agents that are not inside.
        inside: bool [W, A], who was told something.
        collisions: int64 [W], agents nearer to another one than the collision distance.
    """

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
        flows: the reference of each regime; empty in coverage.
        regimes: [W], the regime of each world.
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
        names = ("sub", "shock", "choked") if setting.regime == "mixed" else (setting.regime,)
        self.flows: dict[str, Flow] = {n: f for n in names if (f := setting.flow(self.arena, n)) is not None}
        self.regimes = [names[0]] * count
        shape = (count, self.fluid.pool)
        self.told = np.zeros((*shape, setting.dimensions))
        self._late = np.zeros((count, setting.delay + 1, *shape[1:], setting.dimensions))
        self._gust = np.zeros((count, setting.dimensions))
        self._role = np.zeros(shape, np.int8)  # 1: does not obey, 2: brakes
        self._leaves = np.full(shape, -1, np.int64)  # step in which an agent falls out
        self._since = np.full(shape, np.nan)  # when an agent came inside
        self._sums = np.zeros((count, 6))  # transits, their time, collisions, effort, density error, steps
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
            share = draws["regime"].random()
            names = list(self.flows) or [self.setting.regime]
            self.regimes[index] = regime or names[int(share * len(names))]
            if self.arena.duct is None:
                self._scatter(index, draws["columns"])
            else:
                self._fill(index, draws["columns"], back)
            self._break(index, draws["faults"])
            for each in (self.told, self._late, self._gust, self._sums):
                each[index] = 0.0
            self._since[index], self.elapsed[index] = np.nan, 0
            if self.profiles is not None:
                self.profiles.clear(index)
        self.fluid.look(chosen)

    def _fill(self, index: int, random: np.random.Generator, back: float | None) -> None:
        regime = self.regimes[index]
        if regime not in self.flows:
            flow = self.setting.flow(self.arena, regime)
            assert flow is not None
            self.flows[regime] = flow
        pressure = self.setting.back(regime) if back is None else back
        self.fluid.fill(index, self.flows[regime], pressure, random, self.setting.start == "flow")

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
        self._role[index, order[:faulty]] = 1
        self._role[index, order[faulty : faulty + round(setting.adversarial * pool)]] = 2
        when = (draw / setting.dropout * self.steps).astype(np.int64) if setting.dropout else np.full(pool, -1)
        self._leaves[index] = np.where(draw < setting.dropout, when, -1)

    # Time

    def sensed(self) -> Array:
        """Accelerations [W, A, D] by what agents sense: the SPH controller's commands."""
        return self.fluid["push"] + self.fluid["drag"]

    def act(self, actions: Array, active: Mask) -> Outcome:
        """Hold commands [W, A, D], in units of an action of 1, for one step of the active worlds."""
        setting, fluid = self.setting, self.fluid
        command = actions * self.unit + (self.sensed() if setting.residual_on == "sph" else 0.0)
        if setting.delay:
            self._late[active] = np.roll(self._late[active], 1, axis=1)
            self._late[active, 0] = command[active]
            command = np.where(active[:, None, None], self._late[:, -1], command)
        command[self._role == 1] = 0.0
        command[self._role == 2] = 0.0
        command[self._role == 2, 0] = -self.unit
        self.told[active] = command[active]
        inside, before = fluid.inside, fluid.place.copy()
        self._sway(active)
        fluid.advance(setting.hold, command, active, self._wind())
        self._drop_out(active)
        self.elapsed += active
        near = np.stack([separations(fluid, index) for index in range(self.count)])
        if fluid.arena.duct is not None:
            self._time_transits(active, before)
        return self._judge(active, inside, near)

    def _sway(self, active: Mask) -> None:
        """Draw the errors of sensed positions and the gusts of this step."""
        setting, fluid = self.setting, self.fluid
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

    def _time_transits(self, active: Mask, before: NDArray[np.int8]) -> None:
        now = (self.elapsed * self.step_time)[:, None]
        place = self.fluid.place
        came = active[:, None] & (before == at.INLET) & (place == at.INSIDE)
        self._since = np.where(came, now, self._since)
        out = active[:, None] & (before == at.INSIDE) & (place == at.OUTLET) & ~np.isnan(self._since)
        self._sums[:, 0] += out.sum(axis=1)
        self._sums[:, 1] += np.where(out, now - self._since, 0.0).sum(axis=1)
        self._since[out] = np.nan

    def _judge(self, active: Mask, inside: Mask, near: Array) -> Outcome:
        """Rewards, collisions and sums of the step."""
        setting, fluid = self.setting, self.fluid
        still = inside & fluid.inside
        close = still & (near < setting.collision * fluid.spacing)
        effort = (self.told**2).sum(axis=-1) / self.unit**2
        unevenness = np.abs(fluid["rho"] - 1.0)
        gain = -unevenness if fluid.arena.duct is None else fluid["velocities"][..., 0] / setting.sound
        rewards = gain - setting.energy_weight * effort - setting.collision_weight * close
        collisions = close.sum(axis=1)
        number = np.maximum(still.sum(axis=1), 1)
        self._sums[active, 2] += collisions[active]
        self._sums[active, 3] += (np.where(still, effort, 0.0).sum(axis=1) / number)[active]
        self._sums[active, 4] += (np.where(still, unevenness, 0.0).sum(axis=1) / number)[active]
        self._sums[active, 5] += 1
        if self.profiles is not None:
            for index in np.flatnonzero(active & (2 * self.elapsed > self.steps)).tolist():
                self.profiles.add(fluid, index, self.told[index])
        return Outcome(np.where(still, rewards, 0.0), still, collisions)

    def measures(self, index: int) -> dict[str, float]:
        """Numbers about a world's episode so far; errors and profiles are of its second half."""
        transits, time, collisions, effort, uneven, steps = self._sums[index].tolist()
        found = {
            "collisions": collisions / max(steps, 1), "effort": effort / max(steps, 1),
            "agents": float(self.fluid.inside[index].sum()),
        }  # fmt: skip
        if self.profiles is None:
            return {**found, "density_error": uneven / max(steps, 1)}
        found |= {"throughput": self.fluid.stations[index, at.PASSED] / max(steps * self.step_time, 1e-12)}
        if transits:
            found["transit_time"] = time / transits
        if self.setting.task == "nozzle" and self.profiles.looks[index]:
            found |= self.profiles.measures(self.fluid, self.flows[self.regimes[index]], index)
        return {name: float(value) for name, value in found.items() if np.isfinite(value)}

    # State

    def get_state(self) -> dict[str, Any]:
        """Everything that the future depends on."""
        state: dict[str, Any] = {name: getattr(self, name).copy() for name in _ARRAYS}
        if self.profiles is not None:
            state["profiles"] = self.profiles.get_state()
        streams = [{name: state_of(draws) for name, draws in each.items()} for each in self._streams]
        return {**state, "fluid": self.fluid.get_state(), "regimes": list(self.regimes), "streams": streams}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` gave.

        Raises:
            InvalidParameter: it is the state of another swarm; nothing was changed.
        """
        given = {name: np.asarray(state.get(name)) for name in _ARRAYS}
        wrong = [name for name in _ARRAYS if given[name].shape != getattr(self, name).shape]
        known = {*REGIMES}
        if wrong or len(state.get("streams", ())) != self.count or not known.issuperset(state.get("regimes", "?")):
            raise InvalidParameter("This is the state of another swarm.")
        self.fluid.set_state(state["fluid"])
        for name, array in given.items():
            getattr(self, name)[...] = array
        if self.profiles is not None:
            self.profiles.set_state(state["profiles"])
        self.regimes = list(state["regimes"])
        for regime in {*self.regimes} - {*self.flows}:
            if (flow := self.setting.flow(self.arena, regime)) is not None:
                self.flows[regime] = flow
        for index, each in enumerate(state["streams"]):
            self._streams[index] = {name: stream(0, name) for name in each}
            for name, saved in each.items():
                restore(self._streams[index][name], saved)


_ARRAYS = ("told", "_late", "_gust", "_role", "_leaves", "_since", "_sums", "elapsed")
