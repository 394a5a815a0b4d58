"""Solver of two-dimensional Boussinesq convection between isothermal no-slip plates, periodic in x, in a batch.

In units in which gravity times expansion times the temperature difference of the plates is 1, the equations are

    du/dt + u . grad u = -grad p + nu lap u + T e_z,    nu    = sqrt(Pr H^3 / Ra)
    dT/dt + u . grad T = kappa lap T,                   kappa = sqrt(H^3 / (Ra Pr))
    div u = 0,

with Ra in its usual definition, g alpha dT H^3 / (nu kappa). T is relative to the mean of the two plates: 1/2 at the
bottom, -1/2 at the top. The velocity is (u, w) = (-d psi / dz, d psi / dx) plus a
mean flow U(z), so its divergence vanishes by construction; the vorticity omega = dw/dx - du/dz = lap psi obeys

    d omega/dt = -div(u omega) + dT/dx + nu lap omega,    dU/dt = <w omega>_x + nu d2U/dz2.

Space: Fourier modes in x, dealiased by the 2/3 rule, Chebyshev collocation in z. Time: the three-stage IMEX Runge-Kutta
scheme of Spalart, Moser and Rogers (J. Comput. Phys. 96, 1991, appendix), advection explicit, diffusion implicit.

Each stage solves (L - beta dt nu L^2) psi = R and (1 - beta dt kappa L) T = R for each wavenumber. The inverses are
computed once in float64 and multiplied in advance by the operators for omega, u and psi, so no ill-conditioned
derivative is applied in float32. The diffusion term that the next stage needs follows from omega - R and T - R. All
products are dense matrix products: at these sizes they are faster than fast transforms on a CPU, and suit a GPU. The
equations are symmetric in z, so a step works on even and odd parts, with two matrices of a quarter of the size
(parity.py).
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agentgym.envs.convection.chebyshev import ClampedBasis, Collocation
from agentgym.envs.convection.parity import at_pairs, blocks, joined, over_pairs, split
from agentgym.errors import InvalidParameter

__all__ = ["Fields", "Fluid", "Resolution", "Solver", "State", "StepReport"]

# Spalart, Moser and Rogers (1991): implicit weights of the earlier (ALPHA) and the new (BETA) diffusion term, explicit
# weights of the latest (GAMMA) and the earlier (ZETA) advection term, of each stage.
ALPHA = (29 / 96, -3 / 40, 1 / 6)
BETA = (37 / 160, 5 / 24, 1 / 6)
GAMMA = (8 / 15, 5 / 12, 3 / 4)
ZETA = (0.0, -17 / 60, -5 / 12)
# The weight of the solution relative to the right-hand side in the term that each stage passes to the next one:
# R + (ALPHA + BETA) dt D f, where f solves f - BETA dt D f = R, is R + CARRIED (f - R).
CARRIED = tuple(1 + ALPHA[stage] / BETA[stage - 1] for stage in range(3))


@dataclass(frozen=True)
class Fluid:
    """The fluid and its box.

    Attributes:
        rayleigh: Ra, in the usual definition, based on the distance between the plates.
        prandtl: Pr.
        height: H, distance between the plates.
        length: period of the box.
    """

    rayleigh: float = 8e4
    prandtl: float = 0.7
    height: float = 2.0
    length: float = 2 * math.pi

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (isinstance(value, int | float | np.number) and math.isfinite(value) and value > 0):
                raise InvalidParameter(f"{name} is {value!r}; it must be a positive number.")

    @property
    def viscosity(self) -> float:
        """The viscosity nu, in free-fall units."""
        return math.sqrt(self.prandtl * self.height**3 / self.rayleigh)

    @property
    def diffusivity(self) -> float:
        """The thermal diffusivity kappa, in free-fall units."""
        return math.sqrt(self.height**3 / (self.rayleigh * self.prandtl))


@dataclass(frozen=True)
class Resolution:
    """Grid and time step.

    Attributes:
        columns: X, points along x.
        points: Z, Chebyshev points from plate to plate.
        time_step: in free-fall times.
        dtype: torch.float32 or torch.float64.
        device: device of the arrays.
    """

    columns: int = 96
    points: int = 64
    time_step: float = 0.05
    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        if self.columns < 6 or self.points < 8:
            raise InvalidParameter(f"The grid is {self.columns} x {self.points}; it must be at least 6 x 8.")
        if not (math.isfinite(self.time_step) and self.time_step > 0):
            raise InvalidParameter(f"time_step is {self.time_step}; it must be a positive number.")

    @property
    def modes(self) -> int:
        """K: wavenumbers 0 to K - 1 are kept, so that products of two fields alias onto none of them."""
        return (self.columns - 1) // 3 + 1


class State(NamedTuple):
    """Right-hand sides of the next stage, which determine the future of a run exactly.

    ``vorticity`` [K, 2, N, Z - 2] (mean flow at wavenumber 0) and ``temperature`` [K, 2, N, Z] hold real and imaginary
    parts by wavenumber for N worlds, on the interior points; the temperature's first and last are those of the plates.
    """

    vorticity: Tensor
    temperature: Tensor


class Fields(NamedTuple):
    """Spectral fields on the interior points, each [K, 2, N, Z - 2].

    f(x) = Re sum_k (f[k, 0] + i f[k, 1]) exp(2 pi i k x / length).
    """

    vorticity: Tensor
    velocity_x: Tensor
    stream: Tensor
    temperature: Tensor


class _Parts(NamedTuple):
    """Right-hand sides within a step, by symmetry: [2, K, 2 N, h], or [2, K, 2 N, h + 1] with plates.

    In the first part omega, psi, w and T are even in z, u and the mean flow odd; in the second it is the reverse.
    Rows are the real parts of all worlds, followed by the imaginary ones.
    """

    vorticity: Tensor
    temperature: Tensor


class StepReport(NamedTuple):
    """Diagnostics of the flow at the beginning of a step.

    Attributes:
        flux: [2 K, N], the advective heat flux w T integrated over z, by wavenumber.
        gradients: [N, 2], the mean of dT/dz over the bottom plate and over the top plate.
        courant: [N], largest |u| times the highest wavenumber times the time step; the scheme's limit is sqrt(3).
    """

    flux: Tensor
    gradients: Tensor
    courant: Tensor


class Solver:
    """Advances N worlds of one fluid. All methods are differentiable.

    Args:
        fluid: the fluid and its box.
        resolution: grid and time step.

    Attributes:
        collocation: points, weights and derivatives along z.
        x: [X], the columns.
        wavenumbers: [K].
    """

    def __init__(self, fluid: Fluid, resolution: Resolution) -> None:
        self.fluid, self.resolution = fluid, resolution
        self.collocation = Collocation(resolution.points, fluid.height)
        self.x = np.arange(resolution.columns) * fluid.length / resolution.columns
        self.wavenumbers = 2 * np.pi * np.arange(resolution.modes) / fluid.length
        self._build_transforms()
        self._build_stages()

    def tensor(self, values: np.ndarray) -> Tensor:
        """A constant in the solver's dtype, on its device."""
        values = np.ascontiguousarray(values)
        return torch.as_tensor(values, dtype=self.resolution.dtype, device=self.resolution.device)

    # Matrices

    def synthesis(self, x: np.ndarray, derivative: bool = False) -> np.ndarray:
        """The matrix [X, 2 K] that maps coefficients to values at ``x`` [X], or to values of the x-derivative."""
        angle = np.outer(x, self.wavenumbers)
        parts = (-np.sin(angle), -np.cos(angle)) if derivative else (np.cos(angle), -np.sin(angle))
        scale = self.wavenumbers[:, None] if derivative else 1.0
        return (np.stack(parts, axis=-1) * scale).reshape(len(x), -1)

    def _build_transforms(self) -> None:
        columns, dt = self.resolution.columns, self.resolution.time_step
        synthesis = self.synthesis(self.x)
        analysis = synthesis.T * np.repeat(np.where(self.wavenumbers == 0, 1.0, 2.0), 2)[:, None] / columns
        real, imaginary = analysis[0::2], analysis[1::2]
        k = self.wavenumbers[:, None]
        gradient = np.stack((-k * imaginary, k * real), axis=1).reshape(-1, columns)
        self._analysis = self.tensor(analysis)
        self._to_values = self.tensor(synthesis)
        self._to_slopes = self.tensor(self.synthesis(self.x, derivative=True))
        self._dt_gradient = self.tensor(dt / 2 * gradient)  # sums over pairs of points are twice the parts
        # Products with a velocity vanish on the plates, so interior points suffice for their z-derivative, which maps
        # odd parts to even ones and even to odd.
        vertical = blocks(-dt / 2 * self.collocation.derivative(1)[1:-1, 1:-1])[::-1]
        mean_flow = blocks(dt / 2 * np.eye(self.resolution.points - 2))[::-1]  # it gains <w omega> itself
        by_mode = np.stack([mean_flow, *[vertical] * (len(self.wavenumbers) - 1)], axis=1)
        self._dt_vertical = self.tensor(vertical.swapaxes(1, 2))
        self._dt_vertical_vorticity = self.tensor(by_mode.swapaxes(2, 3)).flatten(0, 1)
        self._weights = self.tensor(over_pairs(self.collocation.weights[1:-1]))
        slopes = self.collocation.derivative(1)[[0, -1]]  # of T on the plates
        self._slopes_between = self.tensor(over_pairs(slopes[:, 1:-1].T))
        self._slopes_plates = self.tensor(slopes[:, [0, -1]].T)
        self._signs = self.tensor(np.array([1.0, -1.0]).reshape(2, 1, 1, 1))
        upside_down = np.ones((len(self.wavenumbers), 1, 1))
        upside_down[0] = -1.0  # the mean flow counts as even where it is odd
        self._upside_down = self.tensor(upside_down)

    def _build_stages(self) -> None:
        """For each stage, the matrices [2 K, inputs, outputs] from right-hand sides to fields."""
        self._flow_stages, self._heat_stages = [], []
        for stage in range(3):
            implicit = BETA[stage] * self.resolution.time_step
            nu, kappa = self.fluid.viscosity, self.fluid.diffusivity
            flow = [self._mean_flow(implicit * nu), *(self._clamped(k, implicit * nu) for k in self.wavenumbers[1:])]
            heat = [blocks(self._heat(k, implicit * kappa)) for k in self.wavenumbers]
            self._flow_stages.append(self._by_part(flow))
            self._heat_stages.append(self._by_part(heat))

    def _by_part(self, matrices: list[np.ndarray]) -> Tensor:
        """Stack matrices [2, outputs, inputs] of all wavenumbers to [2 K, inputs, outputs]."""
        return self.tensor(np.stack(matrices, axis=1).swapaxes(2, 3)).flatten(0, 1)

    def _clamped(self, k: float, implicit: float) -> np.ndarray:
        """[2, 3 h, h] for omega, u, psi from R: (L - implicit L^2) psi = R, psi = d psi / dz = 0 on the plates."""
        value, slope, second, fourth = self._basis
        laplacian = second - k**2 * value
        inverse = np.linalg.inv(laplacian - implicit * (fourth - 2 * k**2 * second + k**4 * value))
        return np.concatenate([blocks(rows @ inverse) for rows in (laplacian, -slope, value)], axis=1)

    def _mean_flow(self, implicit: float) -> np.ndarray:
        """The same for wavenumber 0: (1 - implicit d2/dz2) U = R, U = 0 on the plates, without psi. Odd U is first."""
        slope, second = (self.collocation.derivative(order)[1:-1, 1:-1] for order in (1, 2))
        inverse = np.linalg.inv(np.eye(len(second)) - implicit * second)
        rows = (-slope @ inverse, inverse, np.zeros_like(inverse))
        return np.concatenate([blocks(each) for each in rows], axis=1)[::-1]

    def _heat(self, k: float, implicit: float) -> np.ndarray:
        """The matrix from R (Z) to T (Z - 2): (1 - implicit L) T = R in the interior, T = R on the plates."""
        laplacian = self.collocation.derivative(2) - k**2 * np.eye(self.resolution.points)
        laplacian[[0, -1]] = 0.0
        return np.asarray(np.linalg.inv(np.eye(len(laplacian)) - implicit * laplacian)[1:-1])

    @cached_property
    def _basis(self) -> tuple[np.ndarray, ...]:
        """Clamped polynomials and their first, second and fourth derivatives at the interior points."""
        basis = ClampedBasis(self.collocation)
        return tuple(basis.derivative(order)[1:-1] for order in (0, 1, 2, 4))

    # States

    def state(self, stream: np.ndarray, mean_flow: np.ndarray, temperature: np.ndarray) -> State:
        """The state with these fields.

        Args:
            stream: float64 [K, 2, N, Z - 2], on the interior points; wavenumber 0 is not used.
            mean_flow: float64 [N, Z - 2].
            temperature: float64 [K, 2, N, Z], plates included.
        """
        implicit, k2 = BETA[2] * self.resolution.time_step, self.wavenumbers.reshape(-1, 1, 1, 1) ** 2
        value, _, second, fourth = self._basis
        coefficients = stream @ np.linalg.inv(value).T
        psi, psi2, psi4 = (coefficients @ matrix.T for matrix in (value, second, fourth))
        squared = psi4 - 2 * k2 * psi2 + k2**2 * psi
        momentum = psi2 - k2 * psi - implicit * self.fluid.viscosity * squared
        curvature = self.collocation.derivative(2)
        momentum[0] = 0.0
        momentum[0, 0] = mean_flow - implicit * self.fluid.viscosity * mean_flow @ curvature[1:-1, 1:-1].T
        heat = temperature.copy()
        diffusion = temperature @ curvature.T - k2 * temperature
        heat[..., 1:-1] -= implicit * self.fluid.diffusivity * diffusion[..., 1:-1]
        return State(self.tensor(momentum), self.tensor(heat))

    def heated(self, state: State, bottom: Tensor) -> State:
        """The state with a new temperature of the bottom plate, [2 K, N] by wavenumber."""
        plate = bottom.reshape(*state.temperature.shape[:3], 1)
        return State(state.vorticity, torch.cat((plate, state.temperature[..., 1:]), dim=-1))

    def fields(self, state: State) -> Fields:
        """The fields of a state between two steps."""
        shape = state.vorticity.shape
        found = self._solve(self._split(state), 2)[1]
        return Fields(*(joined(part.unbind(-2), shape[-1]).reshape(shape) for part in found))

    def values(self, coefficients: Tensor) -> Tensor:
        """Evaluate a spectral field [K, 2, N, ...] at the columns: [X, N, ...]."""
        _, _, *rest = coefficients.shape
        return (self._to_values @ coefficients.flatten(2).flatten(0, 1)).reshape(-1, *rest)

    # Time

    def step(self, state: State) -> tuple[State, StepReport]:
        """Advance all worlds by one time step."""
        parts, earlier = self._split(state), None
        for stage in range(3):
            solved, fields = self._solve(parts, stage - 1)
            latest, flux, u = self._advection(fields)
            if stage == 0:
                report = self._report(state, fields, flux, u)
            momentum = torch.lerp(parts.vorticity, solved.vorticity, CARRIED[stage])
            momentum[:, 0] = torch.lerp(parts.vorticity[:, 0], solved.velocity_x[:, 0], CARRIED[stage])  # mean flow
            heat = torch.lerp(parts.temperature[..., 1:], solved.temperature, CARRIED[stage])
            momentum.add_(latest.vorticity, alpha=GAMMA[stage])
            heat.add_(latest.temperature, alpha=GAMMA[stage])
            if earlier is not None:
                momentum.add_(earlier.vorticity, alpha=ZETA[stage])
                heat.add_(earlier.temperature, alpha=ZETA[stage])
            plates = parts.temperature[..., :1]
            parts, earlier = _Parts(momentum, torch.cat((plates, heat), dim=-1)), latest
        return self._join(parts, state), report

    def _split(self, state: State) -> _Parts:
        momentum, heat = (part.flatten(1, 2) for part in state)
        return _Parts(split(momentum, self._signs * self._upside_down), split(heat, self._signs))

    def _join(self, parts: _Parts, like: State) -> State:
        first, second = parts.vorticity
        momentum = joined((first + second, (first - second) * self._upside_down), like.vorticity.shape[-1])
        even, odd = parts.temperature
        heat = joined((even + odd, even - odd), like.temperature.shape[-1])
        return State(momentum.reshape(like.vorticity.shape), heat.reshape(like.temperature.shape))

    def _solve(self, parts: _Parts, stage: int) -> tuple[Fields, Fields]:
        """The fields of a stage, by part [2, K, 2 N, h] and at pairs of points [K, 2 N, 2, h]."""
        shape = (2, *parts.vorticity.shape[1:3], -1)
        flow = torch.bmm(parts.vorticity.flatten(0, 1), self._flow_stages[stage]).reshape(shape)
        temperature = torch.bmm(parts.temperature.flatten(0, 1), self._heat_stages[stage]).reshape(shape)
        vorticity, velocity, stream = flow.chunk(3, dim=-1)
        odd, even = velocity
        fields = Fields(at_pairs(*vorticity), at_pairs(even, odd), at_pairs(*stream), at_pairs(*temperature))
        return Fields(vorticity, velocity, stream, temperature), fields

    def _advection(self, fields: Fields) -> tuple[_Parts, Tensor, Tensor]:
        """Advection and buoyancy over one time step on the interior points, as right-hand sides; also w T and u.

        w T is [2 K, N * 2 h] by wavenumber, u is [X, N * 2 h], both at pairs of points.
        """
        modes, rows, _, half = fields.stream.shape
        vorticity, u, stream, temperature = (field.reshape(2 * modes, -1) for field in fields)
        u, w = self._to_values @ u, self._to_slopes @ stream
        vorticity, temperature = self._to_values @ vorticity, self._to_values @ temperature
        lifted, flux = self._analysis @ (w * vorticity), self._analysis @ (w * temperature)
        momentum = self._dt_gradient @ torch.addcmul(temperature, u, vorticity, value=-1.0)
        heat = self._dt_gradient @ (u * temperature)
        shape = (modes, rows, 2, half)
        momentum, heat = self._sums(momentum.reshape(shape)), self._sums(heat.reshape(shape))
        # z-derivatives of odd parts are even, and those of even parts are odd
        lifted, upward = self._sums(lifted.reshape(shape), -1), self._sums(flux.reshape(shape), -1)
        momentum = torch.baddbmm(momentum.flatten(0, 1), lifted.flatten(0, 1), self._dt_vertical_vorticity)
        heat = torch.baddbmm(heat.flatten(1, 2), upward.flatten(1, 2), self._dt_vertical, beta=-1.0)
        return _Parts(momentum.unflatten(0, (2, modes)), heat.unflatten(1, (modes, rows))), flux, u

    def _sums(self, values: Tensor, sign: float = 1) -> Tensor:
        """Twice the parts [2, K, 2 N, h] of values at pairs of points [K, 2 N, 2, h]; odd first if sign is -1."""
        first, mirrored = values.unbind(-2)
        return torch.addcmul(first, mirrored, self._signs, value=sign)

    def _report(self, state: State, fields: Fields, flux: Tensor, u: Tensor) -> StepReport:
        modes, _, worlds, _ = state.vorticity.shape
        lift = flux.reshape(2 * modes, worlds, -1) @ self._weights
        plates = state.temperature[0, 0, :, :: self.resolution.points - 1]
        between = fields.temperature[0, :worlds].flatten(1)
        gradients = between @ self._slopes_between + plates @ self._slopes_plates
        speed = u.detach().abs().amax(0).reshape(worlds, -1).amax(1)
        return StepReport(lift, gradients, speed * (self.wavenumbers[-1] * self.resolution.time_step))
