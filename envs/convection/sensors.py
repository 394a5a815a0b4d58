"""What is measured: probes of velocity and temperature, each agent's view of them, and Nusselt numbers."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.envs.convection.heaters import segment_means
from agentgym.envs.convection.presets import Cell
from agentgym.envs.convection.solver import Fields, Solver, State

__all__ = ["NusseltNumbers", "Probes", "mirrored_window", "windows"]

VELOCITY_SCALE, TEMPERATURE_SCALE = 1.5, 2.0  # Vignon et al. 2023, released code


class Probes:
    """Reads u, w and T at ``columns_per_heater`` places above every heater, symmetric about its middle.

    The fields are evaluated as the Fourier and Chebyshev series that they are, so a flow that is shifted by a heater,
    or mirrored, is read as the shifted or mirrored numbers, to rounding.
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
        """u, w and T (from the mean of the plates), unscaled: [N, 3, heights, columns], of a state and its fields."""
        plates = state.temperature[..., [0, -1]] @ self._plates
        u = self._at(self._values, fields.velocity_x @ self._between)
        w = self._at(self._slopes, fields.stream @ self._between)
        temperature = self._at(self._values, fields.temperature @ self._between + plates)
        return torch.stack((u, w, temperature), dim=1)

    def _at(self, places: Tensor, coefficients: Tensor) -> Tensor:
        """[K, 2, N, heights] to [N, heights, columns]."""
        _, _, worlds, heights = coefficients.shape
        return (places @ coefficients.reshape(places.shape[1], -1)).reshape(-1, worlds, heights).permute(1, 2, 0)

    def scaled(self, readings: Tensor) -> Tensor:
        """Readings as an agent sees them."""
        velocity, temperature = readings[:, :2] * VELOCITY_SCALE, readings[:, 2:]
        return torch.cat((velocity, TEMPERATURE_SCALE * (temperature - self.cell.temperature_offset)), dim=1)


def windows(cell: Cell) -> NDArray[np.int64]:
    """For each agent, which entries of the flattened observation it sees, [A, F]: those around its own heater.

    Heater k sees heaters k - S // 2 to k + S - S // 2 - 1 of a ring; an even window that is not the whole ring reaches
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
    """Where each entry of a window [F] stands in the mirrored world, and with which sign: u changes it."""
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
    """Heat flux in units of what conduction alone would carry, of whole worlds and of each heater's segment.

    The heaters carry no net heat by themselves (their mean is the plate's), so nothing is to be taken off.
    """

    def __init__(self, cell: Cell, solver: Solver) -> None:
        self.cell, self.diffusivity = cell, solver.fluid.diffusivity
        self._segments = solver.tensor(segment_means(solver, cell.heaters))

    def volume(self, flux: Tensor) -> Tensor:
        """[N], from the flux [2 K, N] integrated over z: 1 + H <w T> / (kappa dT), the mean over the volume."""
        return 1 + flux[0] / self.diffusivity

    def plates(self, gradients: Tensor) -> Tensor:
        """[N], from dT/dz [N, 2] on both plates, their mean."""
        return -gradients.mean(1) * self.cell.height

    def segments(self, flux: Tensor) -> Tensor:
        """[N, A], the volume's number over each heater's segment. T counts from the mean of the plates.

        With T counted from elsewhere the number of a segment, though not their mean, would mostly be its mean w.
        """
        return 1 + (self._segments @ flux).T / self.diffusivity

    def published(self, readings: Tensor) -> Tensor:
        """The formula of Vignon et al.'s released code over these probes: [N] from [N, 3, heights, columns].

        It averages w T over the probes without quadrature weights, takes np.gradient of T with unit spacing, and has
        the top row first, which turns the sign of the conductive part. T counts from 0 as there: 1 at the top.
        """
        w, temperature = readings[:, 1], readings[:, 2] + 1.5
        gradient = torch.gradient(temperature.mean(-1), dim=1)[0].mean(1)
        advected = (w * temperature).mean((1, 2))
        return (advected - self.diffusivity * gradient) * self.cell.height / self.diffusivity
