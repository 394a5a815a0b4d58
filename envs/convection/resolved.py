"""Whether the grid resolves the flow: a cheap measure of it, once an action, and the grid that would."""

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from agentgym.envs.convection.presets import Cell
from agentgym.envs.convection.solver import Fields, Solver, State

__all__ = ["Resolved", "UnresolvedFlow"]

# The largest shares with which the Nusselt number was within about 1 % of that on finer grids (see the card), and what
# a recommended grid should have.
LIMIT_X, LIMIT_Z, AIM = 0.17, 0.04, 0.05


class UnresolvedFlow(UserWarning):
    """The grid is too coarse: Nusselt numbers are off by about 1 % or more. The message has a grid that would do."""


class Resolved:
    """Looks at N flows after every action, until one is found that the grid does not resolve; then warns, once.

    Args:
        cell: whose settings the warning speaks of.
        solver: its solver.
    """

    def __init__(self, cell: Cell, solver: Solver) -> None:
        self.cell, self.warned = cell, False
        points = solver.collocation
        # Near the plates the heaters' pattern stands in the last modes, however well the flow is resolved.
        inner = np.arange(1, cell.points - 1)
        away = (inner > cell.points // 4) & (inner < cell.points - 1 - cell.points // 4)
        self._weights = solver.tensor(points.weights[1:-1] * away)
        self._between, self._plates = (
            solver.tensor(points.to_coefficients[:, part].T) for part in (slice(1, -1), [0, -1])
        )
        # Rolls that repeat within the box leave wavenumbers out: a quarter has some of theirs.
        self._last_x, self._last_z = math.ceil(len(solver.wavenumbers) / 4), max(2, cell.points // 6)

    def look(self, state: State, fields: Fields, active: NDArray[np.bool_]) -> None:
        """Warn where an active world [N] is not resolved."""
        if self.warned:
            return
        in_x, in_z = (part.cpu().numpy()[active].max(initial=0.0) for part in self.tails(state, fields))
        if in_x > LIMIT_X or in_z > LIMIT_Z:
            self.warned = True
            warnings.warn(self._message(float(in_x), float(in_z)), UnresolvedFlow, stacklevel=5)

    def tails(self, state: State, fields: Fields) -> tuple[Tensor, Tensor]:
        """The last modes' shares in the temperature's variations, as roots of energies: along x [N] and along z [N].

        The last modes are a quarter of the wavenumbers, away from the plates, and a sixth of the polynomials.
        """
        temperature = fields.temperature  # [K, 2, N, Z - 2]
        by_wavenumber = (temperature.square() @ self._weights).sum(1)
        in_x = by_wavenumber[-self._last_x :].sum(0) / by_wavenumber[1:].sum(0)
        plates = state.temperature[..., [0, -1]] @ self._plates
        by_polynomial = (temperature @ self._between + plates).square().sum((0, 1))
        in_z = by_polynomial[:, -self._last_z :].sum(1) / by_polynomial[:, 1:].sum(1)
        return in_x.sqrt(), in_z.sqrt()

    def _message(self, in_x: float, in_z: float) -> str:
        columns = _enough(self.cell.columns, in_x, LIMIT_X, 6)
        points = _enough(self.cell.points, in_z, LIMIT_Z, 8)
        return (
            f"The grid of {self.cell.columns} x {self.cell.points} does not resolve this flow (rayleigh "
            f"{self.cell.rayleigh:g}, prandtl {self.cell.prandtl:g}): {max(in_x, in_z):.0%} of the temperature's "
            f"variations are in its last modes, so Nusselt numbers are off by about 1 % or more. Try columns="
            f"{columns}, points={points}, time_step={self._time_step(columns)}."
        )

    def _time_step(self, columns: int) -> float:
        """One with the Courant number of now, in few digits; an action has to be a multiple of it."""
        least = math.ceil(self.cell.steps_per_action * columns / self.cell.columns)
        for steps in range(least, 2 * least):
            if abs(steps * round(self.cell.action_time / steps, 5) - self.cell.action_time) < 1e-9:
                return round(self.cell.action_time / steps, 5)
        return self.cell.action_time / least


def _enough(have: int, tail: float, limit: float, multiple: int) -> int:
    """How many bring the tail to its aim: its logarithm was found to go with their number to the power 1.5."""
    if tail <= limit:
        return have
    times = (math.log(AIM) / math.log(min(tail, 0.5))) ** (2 / 3)
    return multiple * math.ceil(have * max(1.25, times) / multiple)
