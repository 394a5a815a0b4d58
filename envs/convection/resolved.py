"""Whether the grid resolves the flow: a cheap measure of it, once an action, and the grid that would."""

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, stack

from agentgym.envs.convection.presets import Cell
from agentgym.envs.convection.solver import Fields, Solver, State

__all__ = ["Resolved", "UnresolvedFlow"]

# The largest shares of the last modes with which the Nusselt number was within about 1 % of that on finer grids (see
# the card): temperature and vorticity along x, temperature along z.
LIMITS = np.array([0.17, 0.13, 0.04])
AIM = 0.3  # what a recommended grid should have, in limits
PATIENCE = 3  # actions in a row; a heater that jumps has sharper flows for a moment


class UnresolvedFlow(UserWarning):
    """The grid is too coarse: Nusselt numbers are off by about 1 % or more. The message has a grid that would do."""


class Resolved:
    """Looks at N flows after every action, until one is found that the grid does not resolve; then warns, once.

    Args:
        cell: whose settings the warning speaks of.
        solver: its solver.
        count: N.
    """

    def __init__(self, cell: Cell, solver: Solver, count: int) -> None:
        self.cell, self.warned = cell, False
        self._above = np.zeros(count, np.int64)  # actions in a row
        points = solver.collocation
        # Near the plates the heaters' pattern stands in the last modes, however well the flow is resolved.
        inner = np.arange(1, cell.points - 1)
        away = (inner > cell.points // 4) & (inner < cell.points - 1 - cell.points // 4)
        self._weights, self._away = solver.tensor(points.weights[1:-1]), solver.tensor(points.weights[1:-1] * away)
        self._between, self._plates = (
            solver.tensor(points.to_coefficients[:, part].T) for part in (slice(1, -1), [0, -1])
        )
        # Rolls that repeat within the box leave wavenumbers out: a quarter has some of theirs.
        self._last_x, self._last_z = math.ceil(len(solver.wavenumbers) / 4), max(2, cell.points // 6)

    def look(self, state: State, fields: Fields, active: NDArray[np.bool_]) -> None:
        """Warn where an active world [N] is not resolved."""
        if self.warned:
            return
        shares = self.shares(state, fields).cpu().numpy() / LIMITS[:, None]
        self._above = np.where(active, np.where((shares > 1).any(0), self._above + 1, 0), self._above)
        if (self._above >= PATIENCE).any():
            self.warned = True
            temperature, vorticity, along_z = shares[:, self._above.argmax()].tolist()
            warnings.warn(self._message(max(temperature, vorticity), along_z), UnresolvedFlow, stacklevel=5)

    def shares(self, state: State, fields: Fields) -> Tensor:
        """The last modes' shares in the variations, as roots of energies [3, N].

        That is of a quarter of the wavenumbers, in the temperature away from the plates and in the vorticity; and of a
        sixth of the polynomials, in the temperature.
        """
        plates = state.temperature[..., [0, -1]] @ self._plates
        by_polynomial = (fields.temperature @ self._between + plates).square().sum((0, 1))
        along_z = by_polynomial[:, -self._last_z :].sum(1) / by_polynomial[:, 1:].sum(1)
        along_x = (self._along_x(fields.temperature, self._away), self._along_x(fields.vorticity, self._weights))
        return stack((*along_x, along_z)).sqrt()

    def _along_x(self, field: Tensor, weights: Tensor) -> Tensor:
        by_wavenumber = (field.square() @ weights).sum(1)
        # A fluid at rest has no variations, and rounding errors only.
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
        """One with the Courant number of now, in few digits; an action has to be a multiple of it."""
        least = math.ceil(self.cell.steps_per_action * columns / self.cell.columns)
        for steps in range(least, 2 * least):
            if abs(steps * round(self.cell.action_time / steps, 5) - self.cell.action_time) < 1e-9:
                return round(self.cell.action_time / steps, 5)
        return self.cell.action_time / least


def _enough(have: int, share: float, multiple: int) -> int:
    """How many bring a share, in limits, to the aim: its logarithm was found to go with their number to the 1.5."""
    if share <= 1:
        return have
    typical = 0.15  # a limit
    times = (math.log(AIM * typical) / math.log(min(share * typical, 0.5))) ** (2 / 3)
    return multiple * math.ceil(have * max(1.25, times) / multiple)
