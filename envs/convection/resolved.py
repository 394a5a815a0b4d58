"""A cheap check after each action that the grid resolves the flow, and an estimate of the grid that would."""

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, stack

from agentgym.envs.convection.presets import Cell
from agentgym.envs.convection.solver import Fields, Solver, State

__all__ = ["Resolved", "UnresolvedFlow"]

# The largest shares of the last modes for which the Nusselt number was within about 1 % of that on finer grids (see
# the card): temperature and vorticity along x, temperature along z.
LIMITS = np.array([0.17, 0.13, 0.04])
AIM = 0.3  # shares of a recommended grid, relative to these limits
PATIENCE = 3  # consecutive actions; the flow is sharper for a moment after a heater jumps


class UnresolvedFlow(UserWarning):
    """The grid is too coarse: Nusselt numbers are off by about 1 % or more. The message suggests a grid."""


class Resolved:
    """Checks N flows after every action and warns once if the grid does not resolve one of them.

    Args:
        cell: settings that the warning mentions.
        solver: the cell's solver.
        count: number of worlds, N.
    """

    def __init__(self, cell: Cell, solver: Solver, count: int) -> None:
        self.cell, self.warned = cell, False
        self._above = np.zeros(count, np.int64)  # consecutive actions above the limits
        points = solver.collocation
        # Near the plates the last modes contain the heaters' pattern, however well the flow is resolved.
        inner = np.arange(1, cell.points - 1)
        away = (inner > cell.points // 4) & (inner < cell.points - 1 - cell.points // 4)
        self._weights, self._away = solver.tensor(points.weights[1:-1]), solver.tensor(points.weights[1:-1] * away)
        self._between, self._plates = (
            solver.tensor(points.to_coefficients[:, part].T) for part in (slice(1, -1), [0, -1])
        )
        # Rolls that repeat within the box use only some wavenumbers, but a quarter of all includes some of these.
        self._last_x, self._last_z = math.ceil(len(solver.wavenumbers) / 4), max(2, cell.points // 6)

    def look(self, state: State, fields: Fields, active: NDArray[np.bool_]) -> None:
        """Warn if an active world [N] is not resolved."""
        if self.warned:
            return
        shares = self.shares(state, fields).cpu().numpy() / LIMITS[:, None]
        self._above = np.where(active, np.where((shares > 1).any(0), self._above + 1, 0), self._above)
        if (self._above >= PATIENCE).any():
            self.warned = True
            temperature, vorticity, along_z = shares[:, self._above.argmax()].tolist()
            warnings.warn(self._message(max(temperature, vorticity), along_z), UnresolvedFlow, stacklevel=5)

    def shares(self, state: State, fields: Fields) -> Tensor:
        """The shares of the last modes in the variations, as roots of energies [3, N].

        These are the last quarter of the wavenumbers, for the temperature away from the plates and for the vorticity,
        and the last sixth of the polynomials, for the temperature.
        """
        plates = state.temperature[..., [0, -1]] @ self._plates
        by_polynomial = (fields.temperature @ self._between + plates).square().sum((0, 1))
        along_z = by_polynomial[:, -self._last_z :].sum(1) / by_polynomial[:, 1:].sum(1)
        along_x = (self._along_x(fields.temperature, self._away), self._along_x(fields.vorticity, self._weights))
        return stack((*along_x, along_z)).sqrt()

    def _along_x(self, field: Tensor, weights: Tensor) -> Tensor:
        by_wavenumber = (field.square() @ weights).sum(1)
        # A fluid at rest has no variations except rounding errors.
        return by_wavenumber[-self._last_x :].sum(0) / by_wavenumber[1:].sum(0).clamp(min=1e-10)

    def _message(self, along_x: float, along_z: float) -> str:
        columns, points = _enough(self.cell.columns, along_x, 6), _enough(self.cell.points, along_z, 8)
        return (
            f"The grid of {self.cell.columns} x {self.cell.points} does not resolve this flow (rayleigh "
            f"{self.cell.rayleigh:g}, prandtl {self.cell.prandtl:g}): its last modes hold too much, so Nusselt numbers "
            f"are off by about 1 % or more. Try columns={columns}, points={points}, "
            f"time_step={self._time_step(columns)}."
        )

    def _time_step(self, columns: int) -> float:
        """A time step with the current Courant number, in few digits, of which an action is a multiple."""
        least = math.ceil(self.cell.steps_per_action * columns / self.cell.columns)
        for steps in range(least, 2 * least):
            if abs(steps * round(self.cell.action_time / steps, 5) - self.cell.action_time) < 1e-9:
                return round(self.cell.action_time / steps, 5)
        return self.cell.action_time / least


def _enough(have: int, share: float, multiple: int) -> int:
    """The number of modes for the target share. Its logarithm was found to scale with this number to the power 1.5."""
    if share <= 1:
        return have
    typical = 0.15  # of the limit
    times = (math.log(AIM * typical) / math.log(min(share * typical, 0.5))) ** (2 / 3)
    return multiple * math.ceil(have * max(1.25, times) / multiple)
