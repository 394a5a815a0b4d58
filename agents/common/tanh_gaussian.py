"""The policy distribution of SAC: a diagonal Gaussian squashed by tanh (Haarnoja et al. 2018, appendix C)."""

import math

import torch
from torch import Tensor

__all__ = ["EPSILON", "LOG_STD_MAX", "LOG_STD_MIN", "squashed_sample"]

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
EPSILON = 1e-6  # keeps log(1 - tanh^2) finite if tanh rounds to 1, as in the authors' code


def squashed_sample(parameters: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """A reparameterised action and its log-probability.

    The noise equals (u - mean) / std, so the Gaussian density at u is computed from it directly, without dividing by
    the standard deviation and without cancellation in the gradient.

    Args:
        parameters: mean and log standard deviation before tanh, concatenated, ``[B, 2A]``. The log standard
            deviation is clamped to [-20, 2] here.
        noise: standard normal, ``[B, A]``.

    Returns:
        a = tanh(mean + std * noise), ``[B, A]``, and log pi(a|s) = sum over A of
        log N(noise; 0, 1) - log std - log(1 - a^2 + 1e-6), ``[B]`` (equation 21).
    """
    mean, log_std = parameters.chunk(2, dim=1)
    log_std = log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)
    action = torch.tanh(mean + log_std.exp() * noise)
    squashing = torch.log(1 - action.square() + EPSILON)  # ill-conditioned near |a| = 1; rounded as in other code
    gaussian = torch.addcmul(log_std, noise, noise, value=0.5)
    return action, -_HALF_LOG_TWO_PI * noise.shape[1] - (gaussian + squashing).sum(1)
