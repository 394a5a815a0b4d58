"""The simulation of N controlled convection cells on arrays, independent of Gymnasium."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.envs.convection import heaters, topology
from agentgym.envs.convection.presets import Cell
from agentgym.envs.convection.resolved import Resolved
from agentgym.envs.convection.sensors import NusseltNumbers, Probes
from agentgym.envs.convection.solver import Fields, State
from agentgym.errors import InvalidParameter
from agentgym.seeding import restore, state_of, stream

__all__ = ["Diverged", "Outcome", "World"]

COURANT_LIMIT = math.sqrt(3.0)  # stability limit of the scheme on the imaginary axis
ONE_PAIR_SHARE = 0.5  # of the "mixed" episodes

Array = NDArray[np.float64]


class Diverged(RuntimeError):
    """The flow of a world became too fast for the time step. The message names the world and suggests a change."""


@dataclass(frozen=True)
class Outcome:
    """The results of one action in N worlds.

    Attributes:
        observation: float32 [N, 3, heights, columns].
        nusselt: [N], the volume's Nusselt number, averaged over the action.
        rewarded: [N], the Nusselt number used in the reward.
        local: [N, A], the same for each heater's segment.
        roll_pairs: [N], the current number of pairs of rolls.
    """

    observation: NDArray[np.float32]
    nusselt: Array
    rewarded: Array
    local: Array
    roll_pairs: NDArray[np.int64]


@dataclass(frozen=True)
class _Measured:
    """Sums over an action's solver steps, and the readings at its end. All are differentiable."""

    state: State
    fields: Fields
    warmth: Tensor
    flux: Tensor
    gradients: Tensor
    courant: Tensor
    readings: Tensor


class World:
    """N cells, each with its own flow, heaters and random streams.

    Args:
        cell: settings of all cells.
        count: number of cells, N.
        device: device of the flows.

    Attributes:
        state: the flows.
        warmth: [N, A], each heater's temperature in units of the amplitude.
        elapsed: [N], actions since the episode began.
    """

    def __init__(self, cell: Cell, count: int, device: torch.device) -> None:
        self.cell, self.count, self.device = cell, count, device
        self.solver = topology.solver_for(cell, device)
        self.probes, self.numbers = Probes(cell, self.solver), NusseltNumbers(cell, self.solver)
        self._resolved = Resolved(cell, self.solver, count)
        profile = heaters.profile_coefficients(self.solver, cell.heaters, cell.joint)
        self._profile = self.solver.tensor(cell.amplitude * profile)
        self._plate = torch.zeros(len(profile), 1, dtype=self._profile.dtype, device=device)
        self._plate[0] = 0.5
        # The flows before the first reset. Computing them also checks that there are initial flows for this cell.
        first = topology.initial_states(cell, "random" if cell.start == "random" else "two-pair", device)
        self.state = State(*(part[:, :, [0] * count].clone() for part in first))
        self.warmth = torch.zeros(count, cell.heaters, dtype=self._profile.dtype, device=device)
        self.elapsed = np.zeros(count, np.int64)
        self._broken = np.zeros((count, cell.heaters), bool)  # heaters that ignore commands
        self._held = np.zeros((count, cell.heaters))  # the commands that they hold
        self._begun = np.zeros(count, bool)
        self._streams: list[dict[str, np.random.Generator]] = [{} for _ in range(count)]

    # Episodes

    def seed(self, index: int, seed: int) -> None:
        """Seed one world. Its next episode does not continue the last one."""
        self._begun[index] = False
        self._streams[index] = {name: stream(seed, "convection", name) for name in ("start", "heaters")}

    def start(self, chosen: Sequence[int], kind: str | None = None) -> None:
        """Start an episode in the chosen worlds, from the cell's kind of flow or the given one."""
        with torch.no_grad():
            for index in chosen:
                self._start(index, kind or self.cell.start)

    def _start(self, index: int, kind: str) -> None:
        draws = self._streams[index]["start"]
        share, carried, roll, mirror, choice = draws.random(5)
        noise = topology.temperature_noise(self.solver, draws, self.cell.noise)
        if not (self._begun[index] and carried < self.cell.carry_on):
            if kind == "mixed":
                kind = "one-pair" if share < ONE_PAIR_SHARE else "two-pair"
            known = topology.initial_states(self.cell, kind, self.device)
            pick = int(choice * known.temperature.shape[2])
            flow = State(*(part[:, :, pick : pick + 1] for part in known))
            flow = topology.shifted(self.solver, flow, np.array([roll * self.cell.length]))
            flow = topology.mirrored(flow, np.array([mirror < 0.5]))
            self.state.vorticity[:, :, index] = flow.vorticity[:, :, 0]
            self.state.temperature[:, :, index] = (flow.temperature + noise)[:, :, 0]
        self.warmth[index] = 0.0
        self.elapsed[index] = 0
        self._begun[index] = True
        self._break_heaters(index)

    def _break_heaters(self, index: int) -> None:
        draws, cell = self._streams[index]["heaters"], self.cell
        order, held = draws.permutation(cell.heaters), draws.uniform(-1, 1, cell.heaters)
        dead, stuck = order[: cell.dead], order[cell.dead : cell.dead + cell.stuck]
        self._broken[index], self._held[index] = False, 0.0
        self._broken[index, np.concatenate((dead, stuck))] = True
        self._held[index, stuck] = held[stuck]

    # Time

    def act(self, commands: Array, active: NDArray[np.bool_]) -> Outcome:
        """Hold commands [N, A] in [-1, 1] for one action in the active worlds [N]. The others do not change.

        Raises:
            Diverged: a flow is no longer finite, or too fast for the time step.
        """
        told = np.where(self._broken, self._held, commands)
        with torch.no_grad():
            found = self.advance(self.state, self.warmth, self.solver.tensor(told))
            self.elapsed += active
            self._check(found, active)
            self._resolved.look(found.state, found.fields, active)
            if not active.all():
                still = torch.as_tensor(np.flatnonzero(~active), device=self.device)
                for now, before in zip((*found.state, found.warmth), (*self.state, self.warmth), strict=True):
                    axis = now.ndim - 2  # of worlds
                    now.index_copy_(axis, still, before.index_select(axis, still))
            self.state, self.warmth = found.state, found.warmth
            return self._judge(found)

    def advance(self, state: State, warmth: Tensor, commands: Tensor) -> _Measured:
        """The same as a pure function of flows, heaters and commands, differentiable in all of them."""
        cell, steps = self.cell, self.cell.steps_per_action
        target = heaters.balanced(commands)
        fluxes, gradients, courants, readings = [], [], [], []
        for step in range(steps):
            if cell.lag > 0 or step == 0:
                warmth = heaters.lagged(warmth, target, cell.time_step, cell.lag)
                state = self.solver.heated(state, self._plate + self._profile @ warmth.T)
            state, report = self.solver.step(state)
            fluxes.append(report.flux)
            gradients.append(report.gradients)
            courants.append(report.courant)
            if step >= steps - cell.averaged_steps:
                fields = self.solver.fields(state)
                readings.append(self.probes.read(state, fields))
        mean_flux, mean_gradients = torch.stack(fluxes).mean(0), torch.stack(gradients).mean(0)
        return _Measured(
            state, fields, warmth, mean_flux, mean_gradients, torch.stack(courants).amax(0),
            torch.stack(readings).mean(0),
        )  # fmt: skip

    # Gradients

    def tensors(self) -> tuple[Tensor, ...]:
        """Copies of what :meth:`tensors_after` needs: vorticity, temperature, warmth, broken heaters, what they hold.

        The first axis of each is that of the worlds.
        """
        flows = (part.movedim(2, 0).clone() for part in self.state)
        broken = torch.as_tensor(self._broken, device=self.device)
        return (*flows, self.warmth.clone(), broken, self.solver.tensor(self._held))

    def tensors_after(self, tensors: tuple[Tensor, ...], commands: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Tensors after an action with commands [M, A], scaled readings, and the Nusselt number of the reward [M].

        A pure function for any number of worlds M, differentiable in flows, warmth and commands.
        """
        vorticity, temperature, warmth, broken, held = tensors
        state = State(vorticity.movedim(0, 2), temperature.movedim(0, 2))
        found = self.advance(state, warmth, torch.where(broken, held, commands.to(held)))
        flows = (part.movedim(2, 0) for part in found.state)
        return (*flows, found.warmth, broken, held), self.probes.scaled(found.readings), self._rewarded(found)

    def _check(self, found: _Measured, active: NDArray[np.bool_]) -> None:
        courant = found.courant.cpu().numpy()
        good = torch.isfinite(found.flux).all(0).cpu().numpy() & (courant < COURANT_LIMIT)
        lost = np.flatnonzero(active & ~good)
        if not len(lost):
            return
        raise Diverged(
            f"The flow of world {', '.join(map(str, lost))} diverged at action {self.elapsed[lost[0]]} (Courant number "
            f"{courant[lost[0]]:.2f}, limit {COURANT_LIMIT:.2f}). Use a smaller time_step than {self.cell.time_step}."
        )

    def _judge(self, found: _Measured) -> Outcome:
        if self.cell.nusselt == "vignon2023":
            parts = found.readings.split(self.cell.columns_per_heater, dim=3)
            local = torch.stack([self.numbers.published(part) for part in parts], dim=1)
        else:
            local = self.numbers.segments(found.flux)
        return Outcome(
            self._as_seen(found.readings), _array(self.numbers.volume(found.flux)), _array(self._rewarded(found)),
            _array(local), topology.roll_pairs(self.solver, found.fields),
        )  # fmt: skip

    def _rewarded(self, found: _Measured) -> Tensor:
        """The Nusselt number used in the reward, [N]."""
        match self.cell.nusselt:
            case "volume":
                return self.numbers.volume(found.flux)
            case "plates":
                return self.numbers.plates(found.gradients)
            case "vignon2023":
                return self.numbers.published(found.readings)

    def observe(self) -> NDArray[np.float32]:
        """The observation of the current flows, float32 [N, 3, heights, columns]."""
        with torch.no_grad():
            return self._as_seen(self.probes.read(self.state, self.solver.fields(self.state)))

    def _as_seen(self, readings: Tensor) -> NDArray[np.float32]:
        seen: NDArray[np.float32] = self.probes.scaled(readings).float().cpu().numpy()
        return seen

    # Saving

    def get_state(self) -> dict[str, Any]:
        """The state that determines the worlds' future, as arrays and plain values."""
        return {
            "vorticity": _array(self.state.vorticity), "temperature": _array(self.state.temperature),
            "warmth": _array(self.warmth), "elapsed": self.elapsed.copy(), "broken": self._broken.copy(),
            "held": self._held.copy(), "begun": self._begun.copy(),
            "streams": [{name: state_of(draws) for name, draws in each.items()} for each in self._streams],
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`get_state` returned.

        Raises:
            InvalidParameter: the state is of another cell or another number of worlds.
        """
        shapes = {name: np.shape(state[name]) for name in ("vorticity", "temperature", "warmth")}
        own = {"vorticity": self.state.vorticity, "temperature": self.state.temperature, "warmth": self.warmth}
        if any(shapes[name] != tuple(part.shape) for name, part in own.items()):
            raise InvalidParameter("The state is of another number of worlds, or of a cell with another grid.")
        self.state = State(self.solver.tensor(state["vorticity"]), self.solver.tensor(state["temperature"]))
        self.warmth = self.solver.tensor(state["warmth"])
        self.elapsed, self._broken = np.array(state["elapsed"]), np.array(state["broken"])
        self._held, self._begun = np.array(state["held"]), np.array(state["begun"])
        for index, each in enumerate(state["streams"]):
            self._streams[index] = {name: stream(0, name) for name in each}
            for name, saved in each.items():
                restore(self._streams[index][name], saved)


def _array(values: Tensor) -> Array:
    return values.detach().cpu().numpy().astype(np.float64)
