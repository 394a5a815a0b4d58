"""The policy distribution of SAC: a diagonal Gaussian squashed by tanh (Haarnoja et al. 2018, appendix C)."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["LOG_STD_MAX", "LOG_STD_MIN", "squashed_sample", "squashed_sample_by_autograd"]

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_EPSILON = 1e-6  # keeps log(1 - tanh^2) finite where tanh rounds to 1, as in the authors' code


def squashed_sample(parameters: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Reparameterised action and its log-probability.

    Args:
        parameters: mean and log standard deviation before tanh, side by side, ``[B, 2A]``. The log standard
            deviation is clamped to [-20, 2] here.
        noise: standard normal, ``[B, A]``.

    Returns:
        a = tanh(mean + std * noise), ``[B, A]``, and log pi(a|s) = sum over A of
        log N(noise; 0, 1) - log std - log(1 - a^2 + 1e-6), ``[B]`` (equation 21).
    """
    if torch.compiler.is_compiling():  # the compiler fuses the plain form by itself
        return squashed_sample_by_autograd(parameters, noise)
    action, log_prob = _SquashedSample.apply(parameters, noise)
    return action, log_prob


def squashed_sample_by_autograd(parameters: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The same, with gradients left to autograd.

    The noise is (u - mean) / std, so the Gaussian's density at u is written with it directly: no division by
    the deviation, and nothing to cancel in the gradient.
    """
    mean, log_std = parameters.chunk(2, dim=1)
    log_std = log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)
    action = torch.tanh(mean + log_std.exp() * noise)
    squashing = torch.log(1 + _EPSILON - action.square())
    return action, -(0.5 * noise.square() + _HALF_LOG_TWO_PI + log_std + squashing).sum(1)


class _SquashedSample(torch.autograd.Function):
    """A dozen operations on ``[B, A]`` instead of autograd's fifty, which cost more to start than to run.

    With w = 1 - a^2 and upstream gradients G (action) and g (log-probability):
    d/dmean = w (G + 2 a g / (w + 1e-6)),  d/dlog std = std * noise * d/dmean - g within the clamp, else 0.
    """

    @staticmethod
    def forward(ctx: Any, parameters: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw_log_std = parameters.chunk(2, dim=1)
        log_std = raw_log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)
        spread = log_std.exp().mul_(noise)
        action = (mean + spread).tanh_()
        slope = 1 - action.square()
        minus_log_prob = (slope + _EPSILON).log_().add_(log_std).addcmul_(noise, noise, value=0.5).sum(1)
        log_prob = -_HALF_LOG_TWO_PI * noise.shape[1] - minus_log_prob
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(action, slope, spread, raw_log_std == log_std)
        return action, log_prob

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_action: Tensor, of_log_prob: Tensor) -> tuple[Tensor, None]:
        action, slope, spread, unclamped = ctx.saved_tensors
        of_log_prob = of_log_prob.unsqueeze(1)
        of_mean = (2 * action * of_log_prob).div_(slope + _EPSILON).add_(of_action).mul_(slope)
        of_log_std = (spread * of_mean).sub_(of_log_prob).mul_(unclamped)
        return torch.cat([of_mean, of_log_std], dim=1), None
