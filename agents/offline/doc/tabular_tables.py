"""Tables of the tabular form, and every expectation over them exactly. A leading axis G holds independent problems."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["LatentTables", "Outcomes", "best_of", "candidates"]


class Outcomes(NamedTuple):
    """G datasets of single decisions, as distributions.

    Attributes:
        weights: share of the steps with state s, action a and a reward in bin r, ``[G, S, A, R]``; 1 in all over a
            dataset.
        rewards: mean reward of each bin, ``[G, R]``; anything finite in bins that are not used.
    """

    weights: Tensor
    rewards: Tensor


class LatentTables(nn.Module):
    """Posterior, policy, value, prior and energy, and what the objective is made of.

    Args:
        states, actions, bins, latents: S, A, R and Z.
        seeds: one a problem, of its posterior's initial logits (standard normal); they alone break the symmetry of the
            latents. All other tables begin at 0.

    Attributes:
        posterior: logits of q(z | s, a, r), ``[G, S, A, R, Z]``.
        policy: logits of pi(a | s, z), ``[G, S, Z, A]``.
        value: V(s, z), standardised by the rewards' mean and deviation, ``[G, S, Z]``.
        prior: logits of p(z | s), ``[G, S, Z]``.
        energy: f(s, a, r, z), ``[G, S, A, R, Z]``.
    """

    def __init__(self, states: int, actions: int, bins: int, latents: int, seeds: Sequence[int]) -> None:
        super().__init__()
        shape = (states, actions, bins, latents)
        drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        problems = len(drawn)
        self.posterior = nn.Parameter(torch.stack(drawn))
        self.policy = nn.Parameter(torch.zeros(problems, states, latents, actions))
        self.value = nn.Parameter(torch.zeros(problems, states, latents))
        self.prior = nn.Parameter(torch.zeros(problems, states, latents))
        self.energy = nn.Parameter(torch.zeros(problems, *shape))
        self.centre: Tensor
        self.spread: Tensor
        self.register_buffer("centre", torch.zeros(problems, 1))
        self.register_buffer("spread", torch.ones(problems, 1))

    def fit(self, outcomes: Outcomes) -> None:
        """Take the rewards' mean and deviation, by which values are standardised."""
        share = outcomes.weights.sum((1, 2))
        self.centre.copy_((share * outcomes.rewards).sum(1, keepdim=True))
        variance = (share * (outcomes.rewards - self.centre) ** 2).sum(1, keepdim=True)
        self.spread.copy_(torch.where(variance > 0, variance.sqrt(), 1.0))

    @property
    def values(self) -> Tensor:
        """V(s, z) in the rewards' unit, ``[G, S, Z]``."""
        return self.centre[..., None] + self.spread[..., None] * self.value

    # The objective's parts, each [G]; ``posterior`` is q(z | s, a, r), [G, S, A, R, Z]

    def cloning(self, outcomes: Outcomes, posterior: Tensor) -> Tensor:
        """E[-log pi(a | s, z)] with z from the posterior."""
        log_policy = self.policy.log_softmax(-1).transpose(2, 3)[:, :, :, None]  # [G, S, A, 1, Z]
        return -_mean(outcomes, posterior, log_policy)

    def contrast(self, outcomes: Outcomes, posterior: Tensor, energy: Tensor) -> Tensor:
        """C = E[f(s, a, r, z) - log E_rho exp f(s, a, r', z)], rho the rewards' distribution in the whole dataset.

        Its greatest value over f is MI(r; z | s, a) plus a term without z.
        """
        log_rho = outcomes.weights.sum((1, 2)).log()[:, None, None, :, None]
        return _mean(outcomes, posterior, energy - torch.logsumexp(energy + log_rho, 3, keepdim=True))

    def value_error(self, outcomes: Outcomes, posterior: Tensor) -> Tensor:
        """E[(V(s, z) - r)^2], standardised."""
        rewards = ((outcomes.rewards - self.centre) / self.spread)[:, None, None, :, None]
        return _mean(outcomes, posterior, (self.value[:, :, None, None] - rewards) ** 2)

    def prior_error(self, outcomes: Outcomes, posterior: Tensor) -> Tensor:
        """E[-log p(z | s)], which is least where the KL divergence of the posterior from the prior is."""
        return -_mean(outcomes, posterior, self.prior.log_softmax(-1)[:, :, None, None])

    @torch.no_grad()
    def mutual_information(self, outcomes: Outcomes) -> Tensor:
        """MI(r; z | s, a) in nats, exactly, ``[G]``: what the constraint asks to be 0."""
        log_posterior = self.posterior.log_softmax(-1)
        share = outcomes.weights / outcomes.weights.sum(3, keepdim=True).clamp_min(1e-30)  # p(r | s, a)
        mixed = (share[..., None] * log_posterior.exp()).sum(3, keepdim=True)  # q(z | s, a)
        return _mean(outcomes, log_posterior.exp(), log_posterior - mixed.clamp_min(1e-30).log())


def _mean(outcomes: Outcomes, posterior: Tensor, what: Tensor) -> Tensor:
    """Of something ``[G, S, A, R, Z]`` (or broadcast to it) over the data and the posterior, ``[G]``."""
    return (outcomes.weights[..., None] * posterior * what).sum((1, 2, 3, 4))


# Choosing z


def candidates(prior: Tensor, uniforms: Tensor) -> Tensor:
    """K draws of z from logits ``[B, Z]`` by numbers of [0, 1) ``[B, K]``: int64 ``[B, K]``."""
    cumulative = prior.softmax(-1).cumsum(-1)
    return torch.searchsorted(cumulative, uniforms).clamp(max=prior.shape[-1] - 1)


def best_of(drawn: Tensor, values: Tensor) -> Tensor:
    """Of the draws ``[B, K]`` the one of greatest value (``[B, Z]``), int64 ``[B]``."""
    chosen = values.gather(1, drawn).argmax(1, keepdim=True)
    return drawn.gather(1, chosen).squeeze(1)
