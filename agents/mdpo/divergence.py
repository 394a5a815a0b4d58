"""Tsallis logarithms, and Bregman divergences of Tsallis entropies in closed form.

With s = q - 1 the logarithm is ln_q(x) = (x^s - 1) / s, which becomes log(x) as q goes to 1, and the divergence

    B_q(p || r) = 1/s * (integral of p^q  -  q * integral of p r^s)  +  integral of r^q

belongs to the negative Tsallis entropy, the integral of p ln_q(p). It is non-negative, vanishes only for p = r, and
tends to KL(p || r) as q goes to 1. Up to a term independent of p it equals E_p[ln_q p - q ln_q r], the form that
the off-policy loss estimates from samples.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, Normal, kl_divergence

__all__ = ["bregman_divergence", "tsallis_log"]


def tsallis_log(log_probability: Tensor, q: float) -> Tensor:
    """ln_q of a probability or density, given its natural logarithm; any shape."""
    if q == 1.0:
        return log_probability
    return torch.expm1((q - 1.0) * log_probability) / (q - 1.0)


def bregman_divergence(p: Sequence[Distribution], r: Sequence[Distribution], q: float = 1.0) -> Tensor:
    """B_q(p || r) of each row, ``[B]``; KL(p || r) for q = 1.

    Args:
        p, r: independent factors of two policies, batched ``[B]`` or ``[B, A]``: Normal, Categorical or Bernoulli.
        q: in [1, 2]. Above 1 the divergence is summed over the factors and over the entries of each, as the authors
            sum ln_q; only for KL does this equal the divergence of the joint distributions.
    """
    parts = [kl_divergence(a, b) if q == 1.0 else _factor(a, b, q) for a, b in zip(p, r, strict=True)]
    return torch.stack([part.sum(1) if part.ndim > 1 else part for part in parts]).sum(0)


def _factor(p: Distribution, r: Distribution, q: float) -> Tensor:
    if isinstance(p, Normal) and isinstance(r, Normal):
        return _normal(p, r, q)
    first, second = _log_probabilities(p), _log_probabilities(r)
    weights, others = first.exp(), second.exp()
    own = (weights * tsallis_log(first, q)).sum(-1)
    cross = (weights * tsallis_log(second, q)).sum(-1)
    return own - q * cross + (q - 1.0) * (others * tsallis_log(second, q)).sum(-1)


def _log_probabilities(distribution: Distribution) -> Tensor:
    """Log-probabilities [..., K] of a distribution over K outcomes."""
    match distribution:
        case Categorical():
            return distribution.logits
        case Bernoulli():
            logits = distribution.logits
            return torch.nn.functional.logsigmoid(torch.stack([logits, -logits], dim=-1))
    raise TypeError(f"no divergence is known for {type(distribution).__name__}")


def _normal(p: Normal, r: Normal, q: float) -> Tensor:
    """The divergence per entry. Each integral is written as E_p[ln_q], which stays finite as q goes to 1."""
    own = torch.expm1(_log_power(p, q)) / (q - 1.0)
    cross = torch.expm1(_log_cross(p, r, q)) / (q - 1.0)
    of_r = torch.expm1(_log_power(r, q)) / (q - 1.0)
    return own - q * cross + (q - 1.0) * of_r


def _log_power(p: Normal, q: float) -> Tensor:
    """Log of the integral of p^q. The power of a Gaussian is proportional to a Gaussian of variance sigma^2 / q."""
    return (1.0 - q) * (p.stddev.log() + 0.5 * math.log(2.0 * math.pi)) - 0.5 * math.log(q)


def _log_cross(p: Normal, r: Normal, q: float) -> Tensor:
    """Log of the integral of p r^s, a scaled convolution of p with a Gaussian of variance sigma_r^2 / s."""
    s = q - 1.0
    ratio = (p.stddev / r.stddev).square()
    scale = -s * (r.stddev.log() + 0.5 * math.log(2.0 * math.pi))
    distance = ((p.mean - r.mean) / r.stddev).square()
    return scale - 0.5 * torch.log1p(s * ratio) - 0.5 * s * distance / (1.0 + s * ratio)
