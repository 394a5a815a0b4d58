"""Sensors: probes of velocity and temperature, each agent's window of them, and Nusselt numbers."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.envs.convection.heaters import segment_means
from agentgym.envs.convection.presets import Cell
from agentgym.envs.convection.solver import Fields, Solver, State

__all__ = ["NusseltNumbers", "Probes", "mirrored_window", "windows"]

VELOCITY_SCALE, TEMPERATURE_SCALE = 1.5, 2.0  # as in the released code of Vignon et al. 2023


class Probes:
    """Probes of u, w and T at ``columns_per_heater`` positions above every heater, symmetric about its middle.

    The Fourier and Chebyshev series of the fields are evaluated exactly, so a flow that is shifted by one heater, or
    mirrored, gives shifted or mirrored readings, up to rounding.
    """

    def __init__(self, cell: Cell, solver: Solver) -> None:
        self.cell, self.solver = cell, solver
        self.columns = cell.heaters * cell.columns_per_heater
        x = (np.arange(self.columns) + 0.5) * cell.length / self.columns
        heights = solver.collocation.interpolation(np.array(cell.heights) * cell.height / 2)
        self._between, self._plates = solver.tensor(heights[:, 1:-1].T), solver.tensor(heights[:, [0, -1]].T)
        self._values, self._slopes = solver.tensor(solver.synthesis(x)), solver.tensor(solver.synthesis(x, True))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(3, heights, columns): u, w, T."""
        return 3, len(self.cell.heights), self.columns

    def read(self, state: State, fields: Fields) -> Tensor:
        """Unscaled u, w and T (relative to the plates' mean) of a state and its fields, [N, 3, heights, columns]."""
        plates = state.temperature[..., [0, -1]] @ self._plates
        u = self._at(self._values, fields.velocity_x @ self._between)
        w = self._at(self._slopes, fields.stream @ self._between)
        temperature = self._at(self._values, fields.temperature @ self._between + plates)
        return torch.stack((u, w, temperature), dim=1)

    def _at(self, places: Tensor, coefficients: Tensor) -> Tensor:
        """Evaluate coefficients [K, 2, N, heights] at positions, to [N, heights, columns]."""
        _, _, worlds, heights = coefficients.shape
        return (places @ coefficients.reshape(places.shape[1], -1)).reshape(-1, worlds, heights).permute(1, 2, 0)

    def scaled(self, readings: Tensor) -> Tensor:
        """Scale readings for observations."""
        velocity, temperature = readings[:, :2] * VELOCITY_SCALE, readings[:, 2:]
        return torch.cat((velocity, TEMPERATURE_SCALE * (temperature - self.cell.temperature_offset)), dim=1)


def windows(cell: Cell) -> NDArray[np.int64]:
    """The entries of the flattened observation in each agent's window, [A, F]: those around its own heater.

    Agent k observes heaters k - S // 2 to k + S - S // 2 - 1 of a ring. An even window smaller than the ring extends
    one heater further to the left.
    """
    seen, per = cell.seen_heaters, cell.columns_per_heater
    columns = cell.heaters * per
    offsets = np.arange(seen) - seen // 2
    heaters = (np.arange(cell.heaters)[:, None] + offsets) % cell.heaters
    own = (heaters[:, :, None] * per + np.arange(per)).reshape(cell.heaters, -1)  # columns, [A, S per]
    rows = np.arange(3 * len(cell.heights)) * columns
    return (rows[None, :, None] + own[:, None, :]).reshape(cell.heaters, -1)


def mirrored_window(cell: Cell) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each entry of a window [F], its index in the mirrored window and its sign, which is -1 for u."""
    seen, per = cell.seen_heaters, cell.columns_per_heater
    offsets = np.arange(seen) - seen // 2
    place = {offset: index for index, offset in enumerate(offsets.tolist())}
    heaters = np.array([place.get(-offset, index) for index, offset in enumerate(offsets.tolist())])
    columns = (heaters[:, None] * per + np.arange(per)[::-1]).reshape(-1)
    rows = np.arange(3 * len(cell.heights)) * len(columns)
    signs = np.ones((3, len(cell.heights) * len(columns)), np.float32)
    signs[0] = -1.0
    return (rows[:, None] + columns).reshape(-1), signs.reshape(-1)


class NusseltNumbers:
    """Nusselt numbers: heat flux relative to pure conduction, of whole worlds and of each heater's segment.

    The heaters add no net heat (their mean is the plate's temperature), so no correction is needed.
    """

    def __init__(self, cell: Cell, solver: Solver) -> None:
        self.cell, self.diffusivity = cell, solver.fluid.diffusivity
        self._segments = solver.tensor(segment_means(solver, cell.heaters))

    def volume(self, flux: Tensor) -> Tensor:
        """[N], from the flux [2 K, N] integrated over z: 1 + H <w T> / (kappa dT), averaged over the volume."""
        return 1 + flux[0] / self.diffusivity

    def plates(self, gradients: Tensor) -> Tensor:
        """[N], from dT/dz [N, 2] on both plates, averaged over them."""
        return -gradients.mean(1) * self.cell.height

    def segments(self, flux: Tensor) -> Tensor:
        """[N, A], the volume's number for each heater's segment, with T relative to the mean of the plates.

        For another reference of T the number of a segment, but not the mean over segments, would mostly be its mean w.
        """
        return 1 + (self._segments @ flux).T / self.diffusivity

    def published(self, readings: Tensor) -> Tensor:
        """The formula of the released code of Vignon et al. over these probes: [N] from [N, 3, heights, columns].

        It averages w T over the probes without quadrature weights, applies np.gradient to T with unit spacing, and
        starts with the top row, which reverses the sign of the conductive part. T starts from 0 as there: 1 at the top.
        """
        w, temperature = readings[:, 1], readings[:, 2] + 1.5
        gradient = torch.gradient(temperature.mean(-1), dim=1)[0].mean(1)
        advected = (w * temperature).mean((1, 2))
        return (advected - self.diffusivity * gradient) * self.cell.height / self.diffusivity
