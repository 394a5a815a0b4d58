"""Small gain: whether influence grows or dies out around the cycles of the graph.

With mu_i the curvature of agent i's own value in its own action, and L_ij the size of d2Q_i / da_i da_j, agent i's best
response moves by at most C_ij = L_ij / mu_i times what agent j moves. The pseudo-gradient is contracting in a weighted
norm if the spectral radius of C is below 1 (Small-Gain Nash, arXiv:2512.06791).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from agentgym.errors import InvalidParameter

__all__ = ["Cycle", "Gain", "small_gain"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cycle:
    """Agents that influence each other, all with all, directly or through others.

    Attributes:
        agents: in ascending order.
        radius: the spectral radius of C among them.
    """

    agents: tuple[int, ...]
    radius: float

    @property
    def label(self) -> str:
        """In words."""
        return "amplifies" if self.radius > 1 else "dies out" if self.radius < 1 else "neither grows nor dies out"


@dataclass(frozen=True)
class Gain:
    """The small-gain check.

    Attributes:
        couplings: C, [A, A], row i, column j.
        radius: its spectral radius.
        cycles: the groups of agents on cycles.
    """

    couplings: Floats
    radius: float
    cycles: tuple[Cycle, ...]


def small_gain(blocks: Floats, graph: NDArray[np.bool_] | None = None) -> Gain:
    """The small-gain check of a game at one or several points.

    Args:
        blocks: d2Q_i / da_i da_j, [B, A, A, k, k]. Over several points the check takes the smallest mu_i and the
            largest L_ij.
        graph: which edges to count, bool [A, A] with entry (j, i) for j on i; None for all.

    Raises:
        InvalidParameter: shapes do not fit, or a value is not strictly concave in its agent's own action, so that there
            is no best response to speak of.
    """
    if blocks.ndim != 5 or blocks.shape[1] != blocks.shape[2] or blocks.shape[3] != blocks.shape[4] or not len(blocks):
        raise InvalidParameter(f"Blocks are [B, A, A, k, k] with at least one point, not {list(blocks.shape)}.")
    agents = blocks.shape[1]
    own = np.arange(agents)
    mu = -np.linalg.eigvalsh(blocks[:, own, own]).max(axis=(0, 2))
    if (mu <= 0).any():
        which = int(mu.argmin())
        raise InvalidParameter(
            f"The value of agent {which} is not strictly concave in its own action (its largest curvature is "
            f"{-mu[which]:.3g}), so small gain says nothing here."
        )
    sizes = np.linalg.norm(blocks, ord=2, axis=(3, 4)).max(axis=0)
    couplings = sizes / mu[:, None]
    couplings[own, own] = 0.0
    if graph is not None:
        couplings = np.where(graph.T, couplings, 0.0)
    count, group = connected_components(couplings != 0, directed=True, connection="strong")
    members = [np.flatnonzero(group == each) for each in range(count)]
    cycles = [Cycle(tuple(some.tolist()), _radius(couplings[np.ix_(some, some)])) for some in members if len(some) > 1]
    return Gain(couplings, _radius(couplings), tuple(sorted(cycles, key=lambda cycle: cycle.agents)))


def _radius(matrix: Floats) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())
