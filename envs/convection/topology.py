"""Initial flows: cached flows adapted to any cell, and operations on flows that need no solver."""

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
import torch
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from torch import Tensor

from agentgym.envs.convection.presets import PRESETS, Cell
from agentgym.envs.convection.solver import Fields, Fluid, Resolution, Solver, State
from agentgym.errors import InvalidParameter

__all__ = ["Flow", "initial_states", "mirrored", "roll_pairs", "shifted", "solver_for", "temperature_noise"]

SETTLING_TIME = 150.0  # free-fall times in which a cached flow adapts to another cell, up to this Prandtl number.
SETTLING_PRANDTL = 1.5  # More viscous flows need more, by the square root of the ratio; see the card
NOISE_MODES = 4  # wavenumbers, and half waves over the height, of the initial noise

Array = NDArray[np.float64]


@lru_cache(maxsize=16)
def _solver(fluid: Fluid, resolution: Resolution) -> Solver:
    return Solver(fluid, resolution)


def solver_for(cell: Cell, device: torch.device) -> Solver:
    """The solver of a cell. Cells with the same fluid and resolution share it."""
    return _solver(cell.fluid, cell.resolution(device))


@dataclass(frozen=True)
class Flow:
    """N flows as Fourier modes along x and Chebyshev coefficients along z, independent of a grid.

    Attributes:
        stream: [K, 2, N, C].
        mean_flow: [N, C].
        temperature: [K, 2, N, C].
    """

    stream: Array
    mean_flow: Array
    temperature: Array

    @classmethod
    def of(cls, solver: Solver, state: State) -> "Flow":
        """The flow of a state."""
        fields, to_coefficients = solver.fields(state), solver.collocation.to_coefficients
        plates = state.temperature[..., [0, -1]].double().cpu().numpy()
        stream, velocity, between = (
            part.double().cpu().numpy() for part in (fields.stream, fields.velocity_x, fields.temperature)
        )
        temperature = np.concatenate((plates[..., :1], between, plates[..., 1:]), axis=-1)
        inner = to_coefficients[:, 1:-1].T
        return cls(stream @ inner, velocity[0, 0] @ inner, temperature @ to_coefficients.T)

    def state(self, solver: Solver, repeats: int = 1) -> State:
        """The flow on a solver's grid, repeated ``repeats`` times along its box."""
        modes, count = len(solver.wavenumbers), self.stream.shape[2]
        place = repeats * np.arange(len(self.stream))
        kept = place < modes

        def on_grid(coefficients: Array) -> Array:
            values = chebyshev.chebval(solver.collocation.reference, np.moveaxis(coefficients, -1, 0))
            return np.asarray(values, np.float64)

        stream, temperature = (np.zeros((modes, 2, count, solver.resolution.points)) for _ in range(2))
        stream[place[kept]] = on_grid(self.stream[kept])
        temperature[place[kept]] = on_grid(self.temperature[kept])
        return solver.state(stream[..., 1:-1], on_grid(self.mean_flow)[:, 1:-1], temperature)


def initial_states(cell: Cell, kind: str, device: torch.device) -> State:
    """All cached flows of a kind ("two-pair", "one-pair", "random") as states of a cell.

    A cell whose fluid, box or grid is not a preset's starts from the compact preset's flow, which is repeated along a
    longer box and evolves without control for at least :data:`SETTLING_TIME` (random flows, never steady, do not).

    Raises:
        InvalidParameter: the flow of such a cell diverges with its time step.
    """
    return _initial_states(solver_for(cell, device), kind)


@lru_cache(maxsize=32)
def _initial_states(solver: Solver, kind: str) -> State:
    for name, preset in PRESETS.items():
        grid = (solver.resolution.columns, solver.resolution.points)
        if preset.fluid == solver.fluid and (preset.columns, preset.points) == grid:
            return _cached(name, kind).state(solver)
    repeats = max(1, round(solver.fluid.length / solver.fluid.height * 2.0 / PRESETS["compact"].length))
    state = _cached("compact", kind).state(solver, repeats)
    if kind != "random":
        with torch.no_grad():
            for step in range(round(_settling_time(solver.fluid) / solver.resolution.time_step)):
                state, _ = solver.step(state)
                if step % 50 == 0 and not _is_finite(state):
                    break
    if not _is_finite(state):
        raise InvalidParameter(
            f"There is no initial flow: it diverges, with rayleigh {solver.fluid.rayleigh:g}, prandtl "
            f"{solver.fluid.prandtl:g}, a box of {solver.fluid.length:g} by {solver.fluid.height:g} and a grid of "
            f"{solver.resolution.columns} x {solver.resolution.points}. Use a smaller time_step than "
            f"{solver.resolution.time_step:g}."
        )
    return state


def _is_finite(state: State) -> bool:
    return all(bool(torch.isfinite(part).all()) for part in state)


def _settling_time(fluid: Fluid) -> float:
    return SETTLING_TIME * max(1.0, math.sqrt(fluid.prandtl / SETTLING_PRANDTL))


@lru_cache
def _cached(preset: str, kind: str) -> Flow:
    with as_file(files("agentgym.envs.convection") / "flows" / f"{preset}-{kind}.npz") as path, np.load(path) as found:
        return Flow(found["stream"], found["mean_flow"], found["temperature"])


# Symmetries. They act on right-hand sides as on fields, since the equations are linear in them


def shifted(solver: Solver, state: State, distance: Array) -> State:
    """Shift every world [N] by its own distance along x."""
    angle = np.outer(solver.wavenumbers, distance)[..., None]
    cosine, sine = solver.tensor(np.cos(angle)), solver.tensor(np.sin(angle))

    def turn(part: Tensor) -> Tensor:
        real, imaginary = part[:, 0], part[:, 1]
        return torch.stack((real * cosine + imaginary * sine, imaginary * cosine - real * sine), dim=1)

    return State(turn(state.vorticity), turn(state.temperature))


def mirrored(state: State, which: NDArray[np.bool_]) -> State:
    """Reflect the chosen worlds [N] in x: T and w keep their sign; u, psi and the mean flow change it."""
    chosen = torch.as_tensor(which, device=state.vorticity.device)[:, None]
    sign = torch.where(chosen, -1.0, 1.0).to(state.vorticity.dtype)
    momentum, heat = state
    return State(
        torch.stack((momentum[:, 0] * sign, momentum[:, 1]), dim=1), torch.stack((heat[:, 0], heat[:, 1] * sign), dim=1)
    )


def temperature_noise(solver: Solver, generator: np.random.Generator, deviation: float) -> Tensor:
    """Smooth random noise for one world's ``State.temperature``: [K, 2, 1, Z], zero on the plates."""
    modes = min(NOISE_MODES, len(solver.wavenumbers) - 1)
    scale = deviation * np.sqrt(2.0 / (modes * NOISE_MODES))  # gives the field this standard deviation
    draws = scale * generator.standard_normal((modes, 2, NOISE_MODES))
    height = (solver.collocation.reference + 1) / 2
    waves = np.sin(np.pi * np.outer(np.arange(1, NOISE_MODES + 1), height))
    waves[:, [0, -1]] = 0.0
    points = solver.resolution.points
    temperature = np.zeros((len(solver.wavenumbers), 2, 1, points))
    temperature[1 : modes + 1, :, 0] = draws @ waves
    still = np.zeros((*temperature.shape[:-1], points - 2))
    return solver.state(still, still[0, 0], temperature).temperature


def roll_pairs(solver: Solver, fields: Fields) -> NDArray[np.int64]:
    """The number of pairs of rolls in each world [N]: the strongest wavenumber of w at mid height."""
    middle = solver.collocation.interpolation(np.zeros(1))[0, 1:-1]
    stream = fields.stream @ solver.tensor(middle)  # [K, 2, N]
    strength = stream.norm(dim=1) * solver.tensor(solver.wavenumbers)[:, None]
    found: NDArray[np.int64] = strength.argmax(dim=0).cpu().numpy()
    return found
