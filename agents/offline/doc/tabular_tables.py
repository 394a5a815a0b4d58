"""Tables of tabular Dichotomy of Control with exact expectations. A leading axis G holds independent problems."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["LatentTables", "Outcomes", "best_of", "candidates"]


class Outcomes(NamedTuple):
    """G datasets of single decisions, as distributions.

    Attributes:
        weights: share of the steps with state s, action a and reward in bin r, ``[G, S, A, R]``; they sum to 1 over
            each dataset.
        rewards: mean reward of each bin, ``[G, R]``; any finite number in unused bins.
    """

    weights: Tensor
    rewards: Tensor


class LatentTables(nn.Module):
    """Posterior, policy, value, prior and energy, and the terms of the objective.

    Args:
        states, actions, bins, latents: S, A, R and Z.
        seeds: one per problem, for its posterior's initial logits (standard normal). These break the symmetry between
            latents; all other tables start at 0.

    Attributes:
        posterior: logits of q(z | s, a, r), ``[G, S, A, R, Z]``.
        policy: logits of pi(a | s, z), ``[G, S, Z, A]``.
        value: V(s, z), standardised with the rewards' mean and standard deviation, ``[G, S, Z]``.
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
        """Set the mean and standard deviation of rewards, used to standardise values."""
        share = outcomes.weights.sum((1, 2))
        self.centre.copy_((share * outcomes.rewards).sum(1, keepdim=True))
        variance = (share * (outcomes.rewards - self.centre) ** 2).sum(1, keepdim=True)
        self.spread.copy_(torch.where(variance > 0, variance.sqrt(), 1.0))

    @property
    def values(self) -> Tensor:
        """V(s, z) in units of the reward, ``[G, S, Z]``."""
        return self.centre[..., None] + self.spread[..., None] * self.value

    # The terms of the objective, [G] each; ``posterior`` is q(z | s, a, r), [G, S, A, R, Z]

    def cloning(self, outcomes: Outcomes, posterior: Tensor) -> Tensor:
        """E[-log pi(a | s, z)] with z from the posterior."""
        log_policy = self.policy.log_softmax(-1).transpose(2, 3)[:, :, :, None]  # [G, S, A, 1, Z]
        return -_mean(outcomes, posterior, log_policy)

    def contrast(self, outcomes: Outcomes, posterior: Tensor, energy: Tensor) -> Tensor:
        """C = E[f(s, a, r, z) - log E_rho exp f(s, a, r', z)], where rho is the distribution of rewards in the dataset.

        Its maximum over f is MI(r; z | s, a) plus a term without z.
        """
        log_rho = outcomes.weights.sum((1, 2)).log()[:, None, None, :, None]
        return _mean(outcomes, posterior, energy - torch.logsumexp(energy + log_rho, 3, keepdim=True))

    def value_error(self, outcomes: Outcomes, posterior: Tensor) -> Tensor:
        """E[(V(s, z) - r)^2], standardised."""
        rewards = ((outcomes.rewards - self.centre) / self.spread)[:, None, None, :, None]
        return _mean(outcomes, posterior, (self.value[:, :, None, None] - rewards) ** 2)

    def prior_error(self, outcomes: Outcomes, posterior: Tensor) -> Tensor:
        """E[-log p(z | s)], which has the same minimiser as the KL divergence of the posterior from the prior."""
        return -_mean(outcomes, posterior, self.prior.log_softmax(-1)[:, :, None, None])

    @torch.no_grad()
    def mutual_information(self, outcomes: Outcomes) -> Tensor:
        """The exact MI(r; z | s, a) in nats, ``[G]``, which the constraint requires to be 0."""
        log_posterior = self.posterior.log_softmax(-1)
        share = outcomes.weights / outcomes.weights.sum(3, keepdim=True).clamp_min(1e-30)  # p(r | s, a)
        mixed = (share[..., None] * log_posterior.exp()).sum(3, keepdim=True)  # q(z | s, a)
        return _mean(outcomes, log_posterior.exp(), log_posterior - mixed.clamp_min(1e-30).log())


def _mean(outcomes: Outcomes, posterior: Tensor, what: Tensor) -> Tensor:
    """The mean of values ``[G, S, A, R, Z]`` (or broadcastable) over data and posterior, ``[G]``."""
    return (outcomes.weights[..., None] * posterior * what).sum((1, 2, 3, 4))


# Selecting z


def candidates(prior: Tensor, uniforms: Tensor) -> Tensor:
    """K samples of z, int64 ``[B, K]``, from logits ``[B, Z]`` and uniform numbers in [0, 1) ``[B, K]``."""
    cumulative = prior.softmax(-1).cumsum(-1)
    return torch.searchsorted(cumulative, uniforms).clamp(max=prior.shape[-1] - 1)


def best_of(drawn: Tensor, values: Tensor) -> Tensor:
    """The sample with the highest value for each row, int64 ``[B]``, given samples ``[B, K]`` and values ``[B, Z]``."""
    chosen = values.gather(1, drawn).argmax(1, keepdim=True)
    return drawn.gather(1, chosen).squeeze(1)
