"""The passes between a stack's matrix products, compiled by Numba on their first call.

Each goes over its arrays once. Arrays are C-contiguous and of one type, float32 or float64. Sums may be taken in
another order, but NaN and infinity are kept: a ReLU is written as "0 where not positive", with NaN passed on.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit

__all__ = [
    "adam", "adam_and_polyak", "bias_and_relu", "column_sums", "compiled", "dense", "gated", "gated_rows", "gather",
    "group_by_smallest",
    "head_rows", "head_values", "regression_head", "scatter_columns", "transpose_and_add", "transpose_into",
]  # fmt: skip

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_ANY_ORDER = {"reassoc", "contract", "nsz"}  # sums in vector registers; NaN and infinity stay what they are


def compiled(kernel: Kernel, as_written: bool = False) -> Kernel:
    """Compile on the first call and keep the machine code on disk, where some cache folder can be written.

    Args:
        kernel: a function that Numba can compile.
        as_written: round after each operation, and add in the order of the loops.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": not as_written and _ANY_ORDER}
    try:
        made: Any = njit(cache=True, **options)(kernel)
    except RuntimeError:  # Numba found no folder for its cache
        made = njit(**options)(kernel)
    return made


# Forward


@compiled
def bias_and_relu(hidden: np.ndarray, bias: np.ndarray) -> None:
    """hidden <- relu(hidden + bias), ``[B, W]``."""
    zero = hidden.dtype.type(0)
    for b in range(hidden.shape[0]):
        for j in range(hidden.shape[1]):
            value = hidden[b, j] + bias[j]
            hidden[b, j] = zero if value <= zero else value


@compiled
def head_values(hidden: np.ndarray, bias: np.ndarray, weight: np.ndarray, offset: np.ndarray, q: np.ndarray) -> None:
    """hidden <- relu(hidden + bias), ``[B, W]``, and q <- hidden weight + offset, ``[B]``."""
    zero = hidden.dtype.type(0)
    for b in range(hidden.shape[0]):
        total = zero
        for j in range(hidden.shape[1]):
            value = hidden[b, j] + bias[j]
            value = zero if value <= zero else value
            hidden[b, j] = value
            total += value * weight[j]
        q[b] = total + offset[0]


@compiled
def transpose_and_add(columns: np.ndarray, bias: np.ndarray, outputs: np.ndarray) -> None:
    """outputs ``[B, O]`` <- transposed ``[O, B]`` + bias."""
    for b in range(outputs.shape[0]):
        for j in range(outputs.shape[1]):
            outputs[b, j] = columns[j, b] + bias[j]


@compiled
def dense(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, relu: bool, outputs: np.ndarray) -> None:
    """outputs ``[B, O]`` <- x weight^T + bias, or its relu: a layer for few rows, where a product's call costs most."""
    zero = x.dtype.type(0)
    for b in range(x.shape[0]):
        for j in range(weight.shape[0]):
            total = zero
            for i in range(weight.shape[1]):
                total += x[b, i] * weight[j, i]
            value = total + bias[j]
            outputs[b, j] = zero if relu and value <= zero else value


# Backward


@compiled
def regression_head(
    hidden: np.ndarray, bias: np.ndarray, weight: np.ndarray, offset: np.ndarray, wanted: np.ndarray, scale: float,
    expectile: float, q: np.ndarray, of_weight: np.ndarray, of_offset: np.ndarray, of_bias: np.ndarray,
) -> float:  # fmt: skip
    """:func:`head_values`, then back from the loss scale / 2 sum w (q - wanted)^2.

    hidden becomes the loss's gradient before its ReLU, ``[B, W]``; the gradients of weight and bias are ``[W]``.

    Args:
        expectile: w is twice this where q < wanted, else 2 minus that.

    Returns:
        The sum of w (q - wanted)^2.
    """
    zero = hidden.dtype.type(0)
    factor, below = hidden.dtype.type(scale), hidden.dtype.type(2 * expectile)
    other = hidden.dtype.type(2 - 2 * expectile)
    of_weight[:] = zero
    of_bias[:] = zero
    of_offset[0] = zero
    squares = 0.0
    for b in range(hidden.shape[0]):
        total = zero
        for j in range(hidden.shape[1]):
            value = hidden[b, j] + bias[j]
            value = zero if value <= zero else value
            hidden[b, j] = value
            total += value * weight[j]
        q[b] = total + offset[0]
        error = q[b] - wanted[b]
        weighted = error * (below if error < zero else other)
        squares += error * weighted
        delta = factor * weighted
        of_offset[0] += delta
        for j in range(hidden.shape[1]):
            value = hidden[b, j]
            of_weight[j] += delta * value
            back = zero if value <= zero else delta * weight[j]
            hidden[b, j] = back
            of_bias[j] += back
    return squares


@compiled
def gated(hidden: np.ndarray, gradient: np.ndarray, of_bias: np.ndarray) -> None:
    """hidden <- gradient where hidden is positive, else 0, ``[B, W]``; of_bias ``[W]`` <- its sums over the batch."""
    zero = hidden.dtype.type(0)
    of_bias[:] = zero
    for b in range(hidden.shape[0]):
        for j in range(hidden.shape[1]):
            back = zero if hidden[b, j] <= zero else gradient[b, j]
            hidden[b, j] = back
            of_bias[j] += back


@compiled
def column_sums(rows: np.ndarray, sums: np.ndarray) -> None:
    """sums ``[O]`` <- those of rows ``[B, O]``."""
    sums[:] = rows.dtype.type(0)
    for b in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            sums[j] += rows[b, j]


@compiled
def transpose_into(columns: np.ndarray, target: np.ndarray) -> None:
    """target ``[O, I]`` <- transposed ``[I, O]``."""
    for j in range(target.shape[0]):
        for i in range(target.shape[1]):
            target[j, i] = columns[i, j]


# Backward through each row's smallest value


@compiled
def group_by_smallest(q: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> float:
    """Which of n networks gives each row its smallest value; the first of equals, and NaN before any number.

    Args:
        q: ``[n, B]``.
        rows: int64 ``[n, B]``; gets each network's rows at its front.
        counts: int64 ``[n]``; gets how many they are.

    Returns:
        The sum of the smallest values.
    """
    counts[:] = 0
    total = 0.0
    for b in range(q.shape[1]):
        best = 0
        for i in range(1, q.shape[0]):
            if q[best, b] == q[best, b] and not q[i, b] >= q[best, b]:
                best = i
        rows[best, counts[best]] = b
        counts[best] += 1
        total += q[best, b]
    return total


@compiled
def head_rows(hidden: np.ndarray, rows: np.ndarray, weight: np.ndarray, scale: float, gradient: np.ndarray) -> None:
    """gradient ``[m, W]`` <- scale * weight where ``hidden[rows]`` is positive, else 0."""
    zero = hidden.dtype.type(0)
    factor = hidden.dtype.type(scale)
    for m in range(rows.shape[0]):
        b = rows[m]
        for j in range(hidden.shape[1]):
            gradient[m, j] = zero if hidden[b, j] <= zero else factor * weight[j]


@compiled
def gated_rows(hidden: np.ndarray, rows: np.ndarray, gradient: np.ndarray) -> None:
    """gradient ``[m, W]`` <- 0 where ``hidden[rows]`` is not positive."""
    zero = hidden.dtype.type(0)
    for m in range(rows.shape[0]):
        b = rows[m]
        for j in range(hidden.shape[1]):
            back = gradient[m, j]
            gradient[m, j] = zero if hidden[b, j] <= zero else back


@compiled
def scatter_columns(columns: np.ndarray, rows: np.ndarray, target: np.ndarray) -> None:
    """``target[rows]`` ``[m, A]`` <- transposed ``[A, m]``."""
    for m in range(rows.shape[0]):
        for j in range(target.shape[1]):
            target[rows[m], j] = columns[j, m]


# Data


@compiled
def gather(
    observations: np.ndarray, next_observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray,
    dones: np.ndarray, timeouts: np.ndarray, rows: np.ndarray, gamma: float, pairs: np.ndarray,
    next_pairs: np.ndarray, got: np.ndarray, discounts: np.ndarray,
) -> None:  # fmt: skip
    """Rows of a replay buffer, into pairs of s and a, pairs of s' and nothing yet, rewards, and discounts.

    Args:
        observations, next_observations: ``[N, D]``, of any type; actions: ``[N, A]``; the others ``[N]``.
        rows: int64 ``[B]``.
        gamma: the discount where s' is not terminal; being out of time is not.
        pairs, next_pairs: ``[B, D + A]``, and the other two ``[B]``; all written, but for the A of next_pairs.
    """
    width = observations.shape[1]
    for b in range(rows.shape[0]):
        row = rows[b]
        for j in range(width):
            pairs[b, j] = observations[row, j]
            next_pairs[b, j] = next_observations[row, j]
        for j in range(actions.shape[1]):
            pairs[b, width + j] = actions[row, j]
        got[b] = rewards[row]
        discounts[b] = (1 - dones[row] * (1 - timeouts[row])) * gamma


# Optimiser


@compiled
def adam(
    parameters: np.ndarray, gradients: np.ndarray, means: np.ndarray, squares: np.ndarray,
    rate: float, beta1: float, beta2: float, root: float, epsilon: float,
) -> None:  # fmt: skip
    """Kingma and Ba (2015), Algorithm 1, all ``[P]``.

    Args:
        rate: the learning rate, over 1 - beta1^t.
        root: the square root of 1 - beta2^t.
    """
    kind = parameters.dtype.type
    size, keep1, keep2, least = kind(rate * root), kind(1 - beta1), kind(1 - beta2), kind(epsilon * root)
    stay1, stay2 = kind(beta1), kind(beta2)
    for p in range(parameters.shape[0]):
        gradient = gradients[p]
        mean = stay1 * means[p] + keep1 * gradient
        square = stay2 * squares[p] + keep2 * gradient * gradient
        means[p] = mean
        squares[p] = square
        parameters[p] -= size * mean / (np.sqrt(square) + least)


@compiled
def adam_and_polyak(
    parameters: np.ndarray, gradients: np.ndarray, means: np.ndarray, squares: np.ndarray,
    rate: float, beta1: float, beta2: float, root: float, epsilon: float, targets: np.ndarray, tau: float,
) -> None:  # fmt: skip
    """:func:`adam`, then targets <- (1 - tau) targets + tau parameters."""
    kind = parameters.dtype.type
    size, keep1, keep2, least = kind(rate * root), kind(1 - beta1), kind(1 - beta2), kind(epsilon * root)
    stay1, stay2, move = kind(beta1), kind(beta2), kind(tau)
    for p in range(parameters.shape[0]):
        gradient = gradients[p]
        mean = stay1 * means[p] + keep1 * gradient
        square = stay2 * squares[p] + keep2 * gradient * gradient
        means[p] = mean
        squares[p] = square
        parameter = parameters[p] - size * mean / (np.sqrt(square) + least)
        parameters[p] = parameter
        targets[p] += move * (parameter - targets[p])
