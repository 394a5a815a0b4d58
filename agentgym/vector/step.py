"""What a step of a native batch gives, beside the observations."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mask", "Step"]

Mask = NDArray[np.bool_]
"""Of N worlds."""


@dataclass
class Step:
    """What a step of N worlds gives, beside the observations.

    Entries of worlds that were not stepped are not read.

    Attributes:
        rewards: float64 [N].
        terminated: bool [N].
        truncated: bool [N], what cuts an episode beside the batch's own time limit; None where nothing does.
        infos: of the worlds that were stepped, with masks (see :mod:`agentgym.vector.infos`).
    """

    rewards: NDArray[np.float64]
    terminated: Mask
    truncated: Mask | None = None
    infos: dict[str, Any] = field(default_factory=dict)
