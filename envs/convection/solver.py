"""Two-dimensional Boussinesq convection between isothermal no-slip plates, periodic in x, many worlds at once.

In units in which gravity times expansion times the plates' temperature difference is 1, the equations are

    du/dt + u . grad u = -grad p + nu lap u + T e_z,    nu    = sqrt(Pr H^3 / Ra)
    dT/dt + u . grad T = kappa lap T,                   kappa = sqrt(H^3 / (Ra Pr))
    div u = 0,

with Ra in its usual definition, g alpha dT H^3 / (nu kappa). T is measured from the mean of the two plates: 1/2 at the
bottom, -1/2 at the top. The velocity is (u, w) = (-d psi / dz, d psi / dx) plus a
mean flow U(z), so its divergence vanishes by construction; the vorticity omega = dw/dx - du/dz = lap psi obeys

    d omega/dt = -div(u omega) + dT/dx + nu lap omega,    dU/dt = <w omega>_x + nu d2U/dz2.

Space: Fourier modes in x, dealiased by the 2/3 rule, Chebyshev collocation in z. Time: the three-stage IMEX Runge-Kutta
scheme of Spalart, Moser and Rogers (J. Comput. Phys. 96, 1991, appendix), advection explicit, diffusion implicit.

Each stage solves (L - beta dt nu L^2) psi = R and (1 - beta dt kappa L) T = R for each wavenumber. The inverses are
formed once in float64 and kept already multiplied by what is needed next (omega, u, psi, and the diffusion term that
the next stage carries), so that no ill-conditioned derivative is applied in float32. All products are dense matrix
products: at these sizes they beat fast transforms on a CPU and suit a GPU.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agentgym.envs.convection.chebyshev import ClampedBasis, Collocation
from agentgym.errors import InvalidParameter

__all__ = ["Fields", "Fluid", "Resolution", "Solver", "State", "StepReport"]

# Spalart, Moser and Rogers (1991): implicit weights of the earlier (ALPHA) and the new (BETA) diffusion term, explicit
# weights of the latest (GAMMA) and the earlier (ZETA) advection term, of each stage.
ALPHA = (29 / 96, -3 / 40, 1 / 6)
BETA = (37 / 160, 5 / 24, 1 / 6)
GAMMA = (8 / 15, 5 / 12, 3 / 4)
ZETA = (0.0, -17 / 60, -5 / 12)


@dataclass(frozen=True)
class Fluid:
    """What flows, and in which box.

    Attributes:
        rayleigh: Ra, in the usual definition with the distance of the plates as its length.
        prandtl: Pr.
        height: H, distance of the plates.
        length: of the periodic box.
    """

    rayleigh: float = 8e4
    prandtl: float = 0.7
    height: float = 2.0
    length: float = 2 * math.pi

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise InvalidParameter(f"{name} is {value}; it must be a positive number.")

    @property
    def viscosity(self) -> float:
        """Nu, in free-fall units."""
        return math.sqrt(self.prandtl * self.height**3 / self.rayleigh)

    @property
    def diffusivity(self) -> float:
        """Kappa, in free-fall units."""
        return math.sqrt(self.height**3 / (self.rayleigh * self.prandtl))


@dataclass(frozen=True)
class Resolution:
    """Grid and time step.

    Attributes:
        columns: X, points along x.
        points: Z, Chebyshev points from plate to plate.
        time_step: in free-fall times.
        dtype: torch.float32 or torch.float64.
        device: where the arrays live.
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
        """K: wavenumbers 0 to K - 1 are kept, so that products of two of them alias onto none that is kept."""
        return (self.columns - 1) // 3 + 1


class State(NamedTuple):
    """Right-hand sides of the stage that comes next; with them a run goes on bit for bit.

    ``vorticity`` [K, 2, N, Z - 2] (mean flow at wavenumber 0), ``temperature`` [K, 2, N, Z]: real and imaginary parts
    by wavenumber for N worlds, on the points between the plates; the temperature's first and last are the plates' own.
    """

    vorticity: Tensor
    temperature: Tensor


class Fields(NamedTuple):
    """Spectral fields on the points between the plates, each [K, 2, N, Z - 2].

    f(x) = Re sum_k (f[k, 0] + i f[k, 1]) exp(2 pi i k x / length).
    """

    vorticity: Tensor
    velocity_x: Tensor
    stream: Tensor
    temperature: Tensor


class StepReport(NamedTuple):
    """What a step tells of its beginning.

    Attributes:
        flux: [2 K, N], the advective heat flux w T integrated over z, by wavenumber.
        gradients: [N, 2], the mean of dT/dz over the bottom plate and over the top plate.
        courant: [N], largest |u| times the highest wavenumber times the time step; sqrt(3) is the scheme's limit.
    """

    flux: Tensor
    gradients: Tensor
    courant: Tensor


class Solver:
    """Steps N worlds of one fluid; every method is differentiable where its inputs ask for gradients.

    Args:
        fluid: what flows.
        resolution: how it is resolved.

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
        """A constant with the solver's dtype, on its device."""
        return torch.as_tensor(values, dtype=self.resolution.dtype, device=self.resolution.device).contiguous()

    # Matrices

    def synthesis(self, x: np.ndarray, derivative: bool = False) -> np.ndarray:
        """The matrix [X, 2 K] that takes coefficients to values at ``x`` [X], or to values of the x-derivative."""
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
        self._dt_gradient = self.tensor(dt * gradient)
        # Products with a velocity vanish on the plates: inner points are enough for their z-derivative.
        inner = -dt * self.collocation.derivative(1)[1:-1, 1:-1].T
        vertical = np.repeat(inner[None], len(self.wavenumbers), axis=0)
        vertical[0] = dt * np.eye(len(inner))  # the mean flow gains <w omega> itself
        self._dt_vertical_vorticity = self.tensor(vertical)
        self._dt_vertical = self.tensor(inner)
        self._weights = self.tensor(self.collocation.weights[1:-1])
        slopes = self.collocation.derivative(1)[[0, -1]]  # of T on the plates
        self._slopes_between, self._slopes_plates = self.tensor(slopes[:, 1:-1].T), self.tensor(slopes[:, [0, -1]].T)

    def _build_stages(self) -> None:
        """For each stage, matrices [K, inputs, outputs] from right-hand sides to fields and the carried diffusion."""
        self._flow_stages, self._heat_stages = [], []
        for stage in range(3):
            implicit = BETA[stage] * self.resolution.time_step
            carried = implicit + ALPHA[(stage + 1) % 3] * self.resolution.time_step
            nu, kappa = self.fluid.viscosity, self.fluid.diffusivity
            flow = [self._mean_flow(implicit * nu, carried * nu)]
            flow += [self._clamped(k, implicit * nu, carried * nu) for k in self.wavenumbers[1:]]
            heat = [self._heat(k, implicit * kappa, carried * kappa) for k in self.wavenumbers]
            self._flow_stages.append(self.tensor(np.stack(flow).swapaxes(1, 2)))
            self._heat_stages.append(self.tensor(np.stack(heat).swapaxes(1, 2)))

    def _clamped(self, k: float, implicit: float, carried: float) -> np.ndarray:
        """Rows for carry, omega, u, psi from R: (L - implicit L^2) psi = R, psi = d psi / dz = 0 on the plates."""
        value, slope, second, fourth = self._basis
        laplacian = second - k**2 * value
        squared = fourth - 2 * k**2 * second + k**4 * value
        inverse = np.linalg.inv(laplacian - implicit * squared)
        carry = np.eye(len(inverse)) + carried * squared @ inverse
        return np.concatenate((carry, laplacian @ inverse, -slope @ inverse, value @ inverse))

    def _mean_flow(self, implicit: float, carried: float) -> np.ndarray:
        """The same for wavenumber 0: (1 - implicit d2/dz2) U = R, U = 0 on the plates; there is no psi."""
        slope, second = (self.collocation.derivative(order)[1:-1, 1:-1] for order in (1, 2))
        inverse = np.linalg.inv(np.eye(len(second)) - implicit * second)
        carry = np.eye(len(inverse)) + carried * second @ inverse
        return np.concatenate((carry, -slope @ inverse, inverse, np.zeros_like(inverse)))

    def _heat(self, k: float, implicit: float, carried: float) -> np.ndarray:
        """Rows for carry (Z) and T (Z - 2) from R: (1 - implicit L) T = R between the plates, T = R on them."""
        laplacian = self.collocation.derivative(2) - k**2 * np.eye(self.resolution.points)
        laplacian[[0, -1]] = 0.0
        inverse = np.linalg.inv(np.eye(len(laplacian)) - implicit * laplacian)
        return np.concatenate((np.eye(len(laplacian)) + carried * laplacian @ inverse, inverse[1:-1]))

    @cached_property
    def _basis(self) -> tuple[np.ndarray, ...]:
        """Clamped polynomials and their first, second and fourth derivatives between the plates."""
        basis = ClampedBasis(self.collocation)
        return tuple(basis.derivative(order)[1:-1] for order in (0, 1, 2, 4))

    # States

    def state(self, stream: np.ndarray, mean_flow: np.ndarray, temperature: np.ndarray) -> State:
        """The state whose fields are these.

        Args:
            stream: float64 [K, 2, N, Z - 2], between the plates; wavenumber 0 is not used.
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
        """The state with another temperature of the bottom plate, [2 K, N] by wavenumber, from now on."""
        plate = bottom.reshape(*state.temperature.shape[:3], 1)
        return State(state.vorticity, torch.cat((plate, state.temperature[..., 1:]), dim=-1))

    def fields(self, state: State) -> Fields:
        """The fields of a state between two steps."""
        return self._solve(state, 2)[1]

    def values(self, coefficients: Tensor) -> Tensor:
        """A spectral field [K, 2, N, ...] at the columns: [X, N, ...]."""
        _, _, *rest = coefficients.shape
        return (self._to_values @ coefficients.flatten(2).flatten(0, 1)).reshape(-1, *rest)

    # Time

    def step(self, state: State) -> tuple[State, StepReport]:
        """Advance all worlds by one time step."""
        earlier = None
        for stage in range(3):
            carry, fields = self._solve(state, (stage + 2) % 3)
            latest, flux, u = self._advection(fields)
            if stage == 0:
                report = self._report(state, fields, flux, u)
            momentum = torch.add(carry.vorticity, latest.vorticity, alpha=GAMMA[stage])
            heat = carry.temperature.clone()
            heat[..., 1:-1].add_(latest.temperature, alpha=GAMMA[stage])
            if earlier is not None:
                momentum.add_(earlier.vorticity, alpha=ZETA[stage])
                heat[..., 1:-1].add_(earlier.temperature, alpha=ZETA[stage])
            state, earlier = State(momentum, heat), latest
        return state, report

    def _solve(self, state: State, stage: int) -> tuple[State, Fields]:
        """The stage's fields, and what of its diffusion the next right-hand side carries."""
        modes, _, worlds, inner = state.vorticity.shape
        momentum = state.vorticity.reshape(modes, 2 * worlds, inner)
        heat = state.temperature.reshape(modes, 2 * worlds, inner + 2)
        carry, *flow = torch.bmm(momentum, self._flow_stages[stage]).split(inner, dim=2)
        carry_heat, temperature = torch.bmm(heat, self._heat_stages[stage]).split([inner + 2, inner], dim=2)
        shape = (modes, 2, worlds, -1)
        fields = Fields(*(part.reshape(shape) for part in (*flow, temperature)))
        return State(carry.reshape(shape), carry_heat.reshape(shape)), fields

    def _advection(self, fields: Fields) -> tuple[State, Tensor, Tensor]:
        """One time step's worth of advection and buoyancy between the plates, as right-hand sides; w T; u.

        w T is [2 K, N (Z - 2)] by wavenumber, u is [X, N (Z - 2)].
        """
        modes, _, worlds, inner = fields.stream.shape
        flat, rows = (2 * modes, worlds * inner), (modes, 2 * worlds, inner)
        u = self._to_values @ fields.velocity_x.reshape(flat)
        w = self._to_slopes @ fields.stream.reshape(flat)
        vorticity = self._to_values @ fields.vorticity.reshape(flat)
        temperature = self._to_values @ fields.temperature.reshape(flat)
        lifted = self._analysis @ (w * vorticity)
        flux = self._analysis @ (w * temperature)
        momentum = self._dt_gradient @ torch.addcmul(temperature, u, vorticity, value=-1.0)
        momentum = torch.baddbmm(momentum.reshape(rows), lifted.reshape(rows), self._dt_vertical_vorticity)
        heat = (self._dt_gradient @ (u * temperature)).reshape(-1, inner)
        heat = torch.addmm(heat, flux.reshape(-1, inner), self._dt_vertical, beta=-1.0)
        shape = (modes, 2, worlds, inner)
        return State(momentum.reshape(shape), heat.reshape(shape)), flux, u

    def _report(self, state: State, fields: Fields, flux: Tensor, u: Tensor) -> StepReport:
        modes, _, worlds, inner = fields.stream.shape
        lift = flux.reshape(2 * modes, worlds, inner) @ self._weights
        plates, between = state.temperature[0, 0][:, [0, -1]], fields.temperature[0, 0]
        gradients = between @ self._slopes_between + plates @ self._slopes_plates
        speed = u.detach().reshape(-1, worlds, inner).abs().amax(dim=(0, 2))
        return StepReport(lift, gradients, speed * (self.wavenumbers[-1] * self.resolution.time_step))
