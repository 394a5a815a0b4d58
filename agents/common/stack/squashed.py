"""Passes of SAC over its tanh-Gaussian and its targets, compiled.

The formulas are those of :mod:`agentgym.agents.common.tanh_gaussian`.

1 - a^2 has few digits near |a| = 1. So a is torch's, and every operation is rounded, as in other code.
"""

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor

from agentgym.agents.common.stack.kernels import compiled
from agentgym.agents.common.tanh_gaussian import EPSILON, LOG_STD_MAX, LOG_STD_MIN

__all__ = ["act", "gradients", "log_probabilities", "soft_targets"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_rounded = partial(compiled, as_written=True)


def act(gaussian: np.ndarray, noise: Tensor, actions: Tensor) -> None:
    """actions ``[B, A]`` <- those of mean and log deviation, ``[B, 2A]``, and noise, ``[B, A]``."""
    _before_tanh(gaussian, noise.numpy(), actions.numpy())
    torch.tanh_(actions)


@_rounded
def _before_tanh(gaussian: np.ndarray, noise: np.ndarray, found: np.ndarray) -> None:
    kind = gaussian.dtype.type
    low, high = kind(LOG_STD_MIN), kind(LOG_STD_MAX)
    count = noise.shape[1]
    for b in range(noise.shape[0]):
        for j in range(count):
            log_std = gaussian[b, count + j]
            log_std = low if log_std < low else (high if log_std > high else log_std)
            found[b, j] = gaussian[b, j] + np.exp(log_std) * noise[b, j]


@_rounded
def log_probabilities(gaussian: np.ndarray, noise: np.ndarray, actions: np.ndarray, log_prob: np.ndarray) -> float:
    """log_prob ``[B]`` <- of what :func:`act` made.

    Returns:
        Their mean.
    """
    kind = gaussian.dtype.type
    one, half, least = kind(1), kind(0.5), kind(EPSILON)
    low, high = kind(LOG_STD_MIN), kind(LOG_STD_MAX)
    count = noise.shape[1]
    total = 0.0
    for b in range(noise.shape[0]):
        found = kind(-_HALF_LOG_TWO_PI * count)
        for j in range(count):
            action, log_std = actions[b, j], gaussian[b, count + j]
            log_std = low if log_std < low else (high if log_std > high else log_std)
            found -= half * noise[b, j] * noise[b, j] + log_std + np.log(one - action * action + least)
        log_prob[b] = found
        total += found
    return total / noise.shape[0]


@_rounded
def gradients(
    gaussian: np.ndarray, noise: np.ndarray, actions: np.ndarray, of_actions: np.ndarray, of_log_prob: float,
    of_gaussian: np.ndarray,
) -> None:  # fmt: skip
    """of_gaussian ``[B, 2A]`` <- back from a loss of what the functions above made.

    Args:
        of_actions: its gradient by the actions, ``[B, A]``.
        of_log_prob: by each log-probability.
    """
    kind = gaussian.dtype.type
    one, two, zero, least, weight = kind(1), kind(2), kind(0), kind(EPSILON), kind(of_log_prob)
    low, high = kind(LOG_STD_MIN), kind(LOG_STD_MAX)
    count = noise.shape[1]
    for b in range(noise.shape[0]):
        for j in range(count):
            action, log_std = actions[b, j], gaussian[b, count + j]
            slope = one - action * action
            of_mean = (of_actions[b, j] + two * weight * action / (slope + least)) * slope
            of_gaussian[b, j] = of_mean
            clamped = log_std < low or log_std > high
            of_gaussian[b, count + j] = zero if clamped else of_mean * np.exp(log_std) * noise[b, j] - weight


@_rounded
def soft_targets(
    q: np.ndarray, log_prob: np.ndarray, rewards: np.ndarray, discounts: np.ndarray, alpha: float, targets: np.ndarray
) -> None:
    """targets ``[B]`` <- rewards + discounts (min_i q_i - alpha log_prob), with q ``[n, B]``; NaN before any number."""
    weight = q.dtype.type(alpha)
    for b in range(q.shape[1]):
        least = q[0, b]
        for i in range(1, q.shape[0]):
            if least == least and not q[i, b] >= least:
                least = q[i, b]
        targets[b] = rewards[b] + discounts[b] * (least - weight * log_prob[b])
