"""Metrics of gradient steps since the last row of the log."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentgym.errors import NonFinite

__all__ = ["Measures"]


class Measures:
    """Collects scalars on the device, one tuple per gradient step. They are read only when a row of the log is due.

    Steps that measure fewer leave out the last ones.

    Args:
        names: names of the scalars, in order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.steps: list[tuple[Tensor, ...]] = []

    def means(self, step: int) -> dict[str, float]:
        """The mean of each scalar, transferred from the device at once.

        Raises:
            NonFinite: a mean is not finite at gradient step ``step``.
        """
        if not self.steps:
            return {}
        means = torch.stack([column.mean() for column in self._columns()]).tolist()
        metrics = dict(zip(self.names, means, strict=False))
        if not all(map(math.isfinite, means)):
            raise NonFinite(
                f"a loss is not finite by gradient step {step}: {metrics}. Try a smaller learning_rate. "
                "The weights are lost: go back to a checkpoint."
            )
        return metrics

    def _columns(self) -> list[Tensor]:
        """One tensor per scalar."""
        longest = max(map(len, self.steps))
        return [torch.stack([step[i] for step in self.steps if i < len(step)]) for i in range(longest)]

    def state(self) -> dict[str, Any]:
        """The state, for :meth:`restore`."""
        if not self.steps:
            return {"measures": [], "columns": []}
        return {"measures": np.array([len(step) for step in self.steps]), "columns": self._columns()}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore a state that :meth:`state` returned."""
        columns = [iter(column.to(device).unbind()) for column in state["columns"]]
        self.steps = [tuple(next(column) for column in columns[:count]) for count in state["measures"]]
