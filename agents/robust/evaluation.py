"""The value of a policy against one kernel: linear equations, directly or by sweeps."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from agentgym.contracts.mdp import MDP
from agentgym.errors import InvalidParameter

__all__ = ["DIRECT", "Evaluation", "evaluate_exactly", "require_discounted"]

Floats = NDArray[np.float64]
DIRECT = 1000
"""Up to this many states the equations are factorised; beyond, fill-in costs more than sweeps."""


def require_discounted(mdp: MDP) -> None:
    """Refuse a discount of 1, with which no error bound exists in general."""
    if mdp.discount >= 1.0:
        raise InvalidParameter(
            "The discount is 1, so values may not exist and no error can be proved: use a discount below 1, or "
            "backward_induction with a horizon."
        )


class Evaluation:
    """Solves V = r + discount P V for policies and kernels of one process."""

    def __init__(self, mdp: MDP) -> None:
        require_discounted(mdp)
        self.mdp = mdp
        self._columns = np.maximum(mdp.next_states, 0)

    def _equations(self, policy: Floats, kernel: Floats) -> tuple[sparse.csr_array, Floats]:
        states = self.mdp.shape[0]
        weight = policy[:, :, None] * kernel
        used = weight > 0
        rows = np.broadcast_to(np.arange(states)[:, None, None], used.shape)[used]
        matrix = sparse.csr_array((weight[used], (rows, self._columns[used])), (states, states))
        return matrix, np.einsum("sak,sak->s", weight, self.mdp.rewards)

    def solve(self, policy: Floats, kernel: Floats, start: Floats | None = None, residual: float = 0.0) -> Floats:
        """The value [S] of a policy [S, A] against a kernel [S, A, K].

        Args:
            policy: [S, A].
            kernel: [S, A, K].
            start: where sweeps begin; 0 by default.
            residual: sweeps of large processes stop when no state changes by more; 0 for no sweeps.
        """
        matrix, paid = self._equations(policy, kernel)
        states, discount = len(paid), self.mdp.discount
        if states <= DIRECT or residual == 0.0:
            if matrix.nnz > states * states // 8 and states <= DIRECT:
                return np.linalg.solve(np.eye(states) - discount * matrix.toarray(), paid)
            return splu(sparse.csc_array(sparse.eye_array(states) - discount * matrix)).solve(paid)
        values = np.zeros(states) if start is None else start
        while True:
            after = paid + discount * (matrix @ values)
            if np.abs(after - values).max() <= residual:
                return after
            values = after


def evaluate_exactly(mdp: MDP, policy: Floats) -> Floats:
    """The value [S] of a policy [S, A] in a process, by solving the linear equations.

    Raises:
        InvalidParameter: the discount is 1, or the policy has another shape.
    """
    if policy.shape != mdp.shape[:2]:
        raise InvalidParameter(f"A policy of this process has the shape {mdp.shape[:2]}, not {policy.shape}.")
    return Evaluation(mdp).solve(policy, mdp.probabilities)
