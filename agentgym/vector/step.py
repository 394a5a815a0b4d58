"""The result of a step of a native batch, apart from the observations."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mask", "Step"]

Mask = NDArray[np.bool_]
"""One bool per sub-environment, [N]."""


@dataclass
class Step:
    """The result of a step of N sub-environments, apart from the observations.

    Entries of sub-environments that were not stepped are ignored.

    Attributes:
        rewards: float64 [N].
        terminated: bool [N].
        truncated: bool [N], truncation for reasons other than the time limit of the batch; None if there are none.
        infos: infos of the stepped sub-environments, with masks (see :mod:`agentgym.vector.infos`).
    """

    rewards: NDArray[np.float64]
    terminated: Mask
    truncated: Mask | None = None
    infos: dict[str, Any] = field(default_factory=dict)
