"""A finite Markov decision process as arrays: what tabular environments are made of and what solvers take.

Every state and action has a list of outcomes, each a next state with a probability and a reward. The list may hold
all states (:meth:`MDP.dense`) or a few (:meth:`MDP.sparse`); sparse input is never made dense.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import InvalidParameter, NonFinite

__all__ = ["MDP", "TOLERANCE", "checked_rows"]

TOLERANCE = 1e-8
"""Probabilities down to -1e-8 count as 0, and rows whose sum is within 1e-8 of 1 are scaled to sum to 1."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MDP:
    """S states, A actions, and K outcomes of every state and action.

    Use :meth:`dense`, :meth:`sparse` or :meth:`from_gymnasium` to make one.

    Attributes:
        next_states: int64 [S, A, K]; -1 fills up lists that are shorter than K.
        probabilities: float64 [S, A, K]. An outcome of probability 0 is one that an adversary may make likely.
        rewards: float64 [S, A, K], r(s, a, s'): paid when the outcome is known.
        discount: from 0 to 1.
        start: float64 [S], the distribution of the first state.
        terminal: bool [S]. A terminal state leads to itself with reward 0, whatever an adversary does.
    """

    next_states: NDArray[np.int64]
    probabilities: Floats
    rewards: Floats
    discount: float
    start: Floats
    terminal: NDArray[np.bool_]

    def __post_init__(self) -> None:
        shape = np.shape(self.next_states)
        if len(shape) != 3 or 0 in shape or self.probabilities.shape != shape or self.rewards.shape != shape:
            raise InvalidParameter(
                f"next_states {shape}, probabilities {self.probabilities.shape} and rewards {self.rewards.shape} must "
                "have one shape [S, A, K] without a 0."
            )
        object.__setattr__(self, "discount", finite_number("The discount", self.discount, 0.0, 1.0))
        if self.terminal.shape != shape[:1] or self.start.shape != shape[:1]:
            raise InvalidParameter(f"start and terminal have one entry for each of the {shape[0]} states.")
        if self.next_states.min() < -1 or self.next_states.max() >= shape[0]:
            raise InvalidParameter(f"Next states are from 0 to {shape[0] - 1}, or -1 for none.")
        listed = self.next_states >= 0
        object.__setattr__(self, "probabilities", checked_rows("The kernel", self.probabilities, listed))
        _finite("The reward", self.rewards)
        object.__setattr__(self, "start", checked_rows("The start distribution", self.start, np.ones(shape[0], bool)))

    @classmethod
    def dense(
        cls, transitions: Any, rewards: Any, discount: float, *, start: Any = None, terminal: Sequence[int] = ()
    ) -> Self:
        """From a kernel over all states.

        Args:
            transitions: [S, A, S], the probability of each next state.
            rewards: [S, A, S], [S, A] or [S].
            discount: from 0 to 1.
            start: [S], uniform by default.
            terminal: states that lead to themselves with reward 0, whatever the arrays say of them.

        Raises:
            InvalidParameter: a row does not sum to one or has a negative entry (the message names state and action),
                or shapes do not fit.
            NonFinite: a probability or a reward is NaN or infinite.
        """
        kernel = _floats("The kernel", transitions)
        if kernel.ndim != 3 or kernel.shape[0] != kernel.shape[2] or 0 in kernel.shape:
            raise InvalidParameter(f"A kernel over all states has the shape [S, A, S], not {kernel.shape}.")
        states = len(kernel)
        next_states = np.broadcast_to(np.arange(states), kernel.shape)
        kernel, paid, over = kernel.copy(), np.array(_rewards(rewards, kernel.shape)), _mask(terminal, states)
        kernel[over], paid[over] = 0.0, 0.0
        kernel[over, :, over] = 1.0
        return cls(next_states, kernel, paid, discount, _start(start, states), over)

    @classmethod
    def sparse(
        cls, transitions: Sequence[Any], rewards: Any, discount: float, *, start: Any = None,
        terminal: Sequence[int] = (),
    ) -> Self:  # fmt: skip
        """From one SciPy sparse matrix [S, S] an action. Stored entries, explicit zeros included, are the outcomes.

        Args:
            transitions: A matrices.
            rewards: [S, A] or [S], or A sparse matrices [S, S].
            discount: from 0 to 1.
            start: [S], uniform by default.
            terminal: states that lead to themselves with reward 0.

        Raises:
            InvalidParameter, NonFinite: as :meth:`dense`.
        """
        matrices = [sparse.csr_array(matrix) for matrix in transitions]
        if not matrices or any(matrix.shape != (matrices[0].shape[0],) * 2 for matrix in matrices):
            raise InvalidParameter("A sparse kernel is one matrix of shape [S, S] for every action.")
        states, actions = matrices[0].shape[0], len(matrices)
        for matrix in matrices:
            matrix.sum_duplicates()
        most = max(1, *(int(np.diff(matrix.indptr).max(initial=0)) for matrix in matrices))
        next_states = np.full((states, actions, most), -1)
        probabilities, paid = np.zeros(next_states.shape), np.zeros(next_states.shape)
        by_outcome = sparse.issparse(rewards[0])
        if not by_outcome:
            paid[:] = _rewards(rewards, (states, actions, most))
        for a, matrix in enumerate(matrices):
            rows = np.repeat(np.arange(states), np.diff(matrix.indptr))
            place = np.arange(matrix.nnz) - matrix.indptr[rows]
            next_states[rows, a, place], probabilities[rows, a, place] = matrix.indices, matrix.data
            if by_outcome:
                found = sparse.csr_array(rewards[a])[rows, matrix.indices]
                paid[rows, a, place] = found.toarray().ravel() if sparse.issparse(found) else np.asarray(found).ravel()
        return cls._listed(next_states, probabilities, paid, discount, start, terminal)

    @classmethod
    def from_gymnasium(cls, env: Any, discount: float) -> Self:
        """From an environment with a table ``P[state][action] = [(probability, next state, reward, ends), ...]``.

        Gymnasium's ``toy_text`` environments have one. Equal outcomes of a row become one. States that are only
        entered by a transition that ends the episode become terminal; where the table enters a state in both ways,
        ends lead to an additional terminal state, the last.

        Raises:
            InvalidParameter: the environment has no such table, or it is not a kernel.
        """
        base = getattr(env, "unwrapped", env)
        table = getattr(base, "P", None)
        if not isinstance(table, Mapping) or not table:
            raise InvalidParameter(f"{base} has no table P of transitions, as Gymnasium's toy_text environments have.")
        states, actions = len(table), len(table[0])
        rows = [[table[s][a] for a in range(actions)] for s in range(states)]
        moves = [(s, *each) for s in range(states) for row in rows[s] for each in row]
        ends = {target for s, _, target, _, over in moves if over}
        mixed = {target for s, _, target, _, over in moves if not over and target != s} & ends
        absorbing = states if mixed else None
        lists: list[list[dict[tuple[int, float], float]]] = []
        for state_rows in rows:
            lists.append([])
            for row in state_rows:
                found: dict[tuple[int, float], float] = {}
                for probability, target, reward, over in row:
                    key = (absorbing if over and absorbing is not None else target, float(reward))
                    found[key] = found.get(key, 0.0) + probability
                lists[-1].append(found)
        if absorbing is not None:
            lists.append([{(absorbing, 0.0): 1.0}] * actions)
        most = max(len(found) for found in itertools.chain(*lists))
        next_states = np.full((len(lists), actions, most), -1)
        probabilities, paid = np.zeros(next_states.shape), np.zeros(next_states.shape)
        for s, a in np.ndindex(len(lists), actions):
            for k, ((target, reward), probability) in enumerate(lists[s][a].items()):
                next_states[s, a, k], paid[s, a, k], probabilities[s, a, k] = target, reward, probability
        start = getattr(base, "initial_state_distrib", None)
        start = None if start is None else np.pad(np.asarray(start, float), (0, len(lists) - states))
        terminal = sorted(ends) if absorbing is None else [absorbing]
        return cls._listed(next_states, probabilities, paid, discount, start, terminal)

    @classmethod
    def _listed(
        cls, next_states: NDArray[np.int64], probabilities: Floats, paid: Floats, discount: float, start: Any,
        terminal: Sequence[int],
    ) -> Self:  # fmt: skip
        """From lists of outcomes; those of terminal states are put into order."""
        over = _mask(terminal, len(next_states))
        probabilities[over], paid[over], next_states[over] = 0.0, 0.0, -1
        next_states[over, :, 0], probabilities[over, :, 0] = np.flatnonzero(over)[:, None], 1.0
        return cls(next_states, probabilities, paid, discount, _start(start, len(over)), over)

    @property
    def shape(self) -> tuple[int, int, int]:
        """S, A, K."""
        states, actions, outcomes = self.next_states.shape
        return states, actions, outcomes

    def kernel(self) -> Floats:
        """The probabilities over all states, [S, A, S]."""
        states, actions, _ = self.shape
        kernel = np.zeros((states, actions, states))
        s, a, k = np.nonzero(self.next_states >= 0)
        np.add.at(kernel, (s, a, self.next_states[s, a, k]), self.probabilities[s, a, k])
        return kernel

    def under(self, probabilities: Any) -> Self:
        """The same process with other probabilities [S, A, K] of the same outcomes, such as nature's worst.

        Raises:
            InvalidParameter, NonFinite: they are no kernel.
        """
        given = _floats("The kernel", probabilities)
        if given.shape != self.shape:
            raise InvalidParameter(f"A kernel of this process has the shape {self.shape}, not {given.shape}.")
        moved = given[self.terminal] != self.probabilities[self.terminal]
        if moved.any():
            state = int(np.flatnonzero(self.terminal)[np.argwhere(moved)[0][0]])
            raise InvalidParameter(f"State {state} is terminal: its transitions cannot change.")
        return replace(self, probabilities=given)


def _mask(terminal: Sequence[int], states: int) -> NDArray[np.bool_]:
    over = np.zeros(states, bool)
    for state in terminal:
        over[whole_number("A terminal state", state, 0, states - 1)] = True
    return over


def _start(start: Any, states: int) -> Floats:
    return np.full(states, 1.0 / states) if start is None else _floats("The start distribution", start)


def checked_rows(what: str, rows: Floats, listed: NDArray[np.bool_]) -> Floats:
    """Distributions [..., K] that sum to 1 exactly, or an error that names the first state and action that does not.

    Args:
        what: for messages.
        rows: [..., K].
        listed: bool [..., K], the entries that may be above 0.
    """
    _finite(what, rows)
    sums = rows.sum(-1)
    wrong = (np.abs(sums - 1.0) > TOLERANCE) | ((rows < -TOLERANCE) | ((rows > 0) & ~listed)).any(-1)
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        names = ("state", "action") if len(where) == 2 else ("kernel", "state", "action")
        place = " of " + ", ".join(f"{n} {i}" for n, i in zip(names, where, strict=True)) if where else ""
        row = rows[where]
        problem = f"sums to {sums[where]:.12g}, not 1"
        if (row < -TOLERANCE).any():
            problem = f"has the negative probability {row.min():.6g}"
        elif not np.abs(sums[where] - 1.0) > TOLERANCE:
            problem = "has a probability for a next state of -1, which is none"
        raise InvalidParameter(f"{what}{place} {problem}.")
    if (rows >= 0).all() and (np.abs(sums - 1.0) <= rows.shape[-1] * np.finfo(np.float64).eps).all():
        return rows  # as a scaled row is, which therefore stays as it is
    rows = np.where(rows < 0, 0.0, rows)
    return rows / rows.sum(-1, keepdims=True)


def _floats(what: str, values: Any) -> Floats:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidParameter(f"{what} is no array of numbers ({error}).") from error


def _finite(what: str, values: Floats) -> None:
    wrong = ~np.isfinite(values)
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        names = ("state", "action", "outcome")[: len(where)]
        place = ", ".join(f"{name} {index}" for name, index in zip(names, where, strict=False))
        raise NonFinite(f"{what} of {place} is {values[where]}; it must be finite.")


def _rewards(rewards: Any, shape: tuple[int, int, int]) -> Floats:
    paid = _floats("The rewards", rewards)
    if paid.ndim < 3 and paid.shape == shape[: paid.ndim] and paid.ndim:
        paid = paid.reshape(*paid.shape, *[1] * (3 - paid.ndim))
    elif paid.shape != shape:
        raise InvalidParameter(f"Rewards have the shape {shape}, {shape[:2]} or {shape[:1]}, not {paid.shape}.")
    return np.broadcast_to(paid, shape)
