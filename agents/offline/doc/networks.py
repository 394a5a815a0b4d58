"""Dichotomy of Control's networks: encoders of history and future, policy, value, prior and adversary."""

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agentgym.agents.offline.doc.config import DoCConfig
from agentgym.agents.offline.networks import MLP, Normalizer, OfflinePolicy
from agentgym.agents.offline.trunk import Trunk

__all__ = ["DoCPolicy", "Energy", "Gaussians"]

LEAST_STD = 0.05  # lower bound for every Gaussian over z, so that none collapses to a point


class Gaussians(NamedTuple):
    """A mixture of M diagonal Gaussians over z for each row.

    Attributes:
        logits: logits of the components, ``[B, M]``.
        mean, std: ``[B, M, Z]``.
    """

    logits: Tensor
    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, outputs: Tensor, components: int) -> "Gaussians":
        """Split a network's outputs ``[B, M (1 + 2 Z)]``."""
        logits, rest = outputs.split([components, outputs.shape[1] - components], 1)
        mean, spread = rest.unflatten(1, (components, -1)).chunk(2, -1)
        return cls(logits, mean, LEAST_STD + F.softplus(spread))

    def log_density(self, z: Tensor) -> Tensor:
        """log p(z), ``[B]``, for one z per row, ``[B, Z]``."""
        distance = (z[:, None] - self.mean) / self.std
        each = -0.5 * distance.square() - self.std.log() - 0.5 * math.log(2 * math.pi)
        return (self.logits.log_softmax(1) + each.sum(-1)).logsumexp(1)

    def divergence(self) -> Tensor:
        """KL from N(0, 1) if M = 1, in nats, ``[B]`` (Kingma and Welling 2014, appendix B)."""
        mean, std = self.mean[:, 0], self.std[:, 0]
        return 0.5 * (mean.square() + std.square() - 1).sum(1) - std.log().sum(1)

    def samples(self, uniform: Tensor, normal: Tensor) -> Tensor:
        """Samples z ``[B, K, Z]`` from ``uniform`` in [0, 1), ``[B or 1, K]``, and ``normal``, ``[B or 1, K, Z]``."""
        edges = self.logits.softmax(1).cumsum(1)[:, None, :-1]
        chosen = (uniform[..., None] >= edges).sum(-1)  # [B, K]
        rows = torch.arange(len(chosen), device=chosen.device)[:, None]
        return self.mean[rows, chosen] + self.std[rows, chosen] * normal


class DoCPolicy(OfflinePolicy):
    """Policy pi(a | history, s, z), value V(s, z), prior p(z | s) and posterior q(z | future).

    The history has one token per step: the observation with the previous action and reward. z is not among the tokens.
    It enters where action, value and energy are computed, so one encoding of the history serves all of them.

    Args:
        observations, actions: sizes of an observation and an action.
        settings: sizes of the networks.
    """

    def __init__(self, observations: int, actions: int, settings: DoCConfig) -> None:
        super().__init__()
        width, latent, hidden = settings.width, settings.latent, settings.hidden
        sizes = (width, settings.layers, settings.heads, settings.dropout)
        self.normalizer = Normalizer(observations)
        self.reward_scale: Tensor
        self.return_scale: Tensor
        self.register_buffer("reward_scale", torch.tensor([0.0, 1.0]))  # mean and standard deviation
        self.return_range: Tensor
        self.register_buffer("return_scale", torch.tensor([0.0, 1.0]))
        self.register_buffer("return_range", torch.tensor([-math.inf, math.inf]))  # of the dataset
        self.of_state, self.of_previous = nn.Linear(observations, width), nn.Linear(actions + 1, width)
        self.of_time = nn.Embedding(settings.longest_episode, width)
        nn.init.normal_(self.of_time.weight, std=0.02)
        self.norm, self.trunk = nn.LayerNorm(width), Trunk(*sizes)
        self.actor = MLP(width + latent, hidden, actions)
        self.critic = MLP(observations + latent, hidden, 1, members=2)
        self.average_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.components = settings.components
        self.prior_network = MLP(observations, hidden, settings.components * (1 + 2 * latent))
        self.of_step, self.future_norm = nn.Linear(observations + actions + 1, width), nn.LayerNorm(width)
        self.future_trunk = Trunk(*sizes, causal=False)
        self.future_head = nn.Linear(width, 1 + 2 * latent)

    def history(self, states: Tensor, actions: Tensor, rewards: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """Encode the history at each step, ``[B, K, W]``.

        Args:
            states: ``[B, K, D]``.
            actions, rewards: as inputs ``[B, K, A]`` and in the data's units ``[B, K]``; a step's own are not used.
            times: int64 ``[B, K]``.
            mask: bool ``[B, K]``.
        """
        done = torch.cat([actions, self.scaled(rewards)[..., None]], -1) * mask[..., None]
        previous = F.pad(done, (0, 0, 1, 0))[:, :-1]
        time = self.of_time(times.clamp(max=self.of_time.num_embeddings - 1))
        tokens = self.of_state(states) + self.of_previous(previous) + time
        read: Tensor = self.trunk(self.norm(tokens), mask)
        return read

    def posterior(self, states: Tensor, actions: Tensor, rewards: Tensor, mask: Tensor) -> Gaussians:
        """q(z | future), one Gaussian per row, given the future's steps ``[B, F, ...]``; see :meth:`history`."""
        steps = torch.cat([states, actions, self.scaled(rewards)[..., None]], -1)
        read = self.future_trunk(self.future_norm(self.of_step(steps)), mask)
        share = mask / mask.sum(1, keepdim=True).clamp(min=1)
        return Gaussians.of(self.future_head(torch.einsum("bl,blw->bw", share, read)), 1)

    def prior(self, states: Tensor, frozen: bool = False) -> Gaussians:
        """p(z | s) for the states at which the future begins, ``[B, D]``."""
        return Gaussians.of(self.prior_network(states, frozen=frozen)[0], self.components)

    def act(self, history: Tensor, z: Tensor) -> Tensor:
        """Logits, or actions before the tanh, ``[n, A]``."""
        return self.actor(history, z)[0]

    def value(self, states: Tensor, z: Tensor, averaged: bool = False) -> Tensor:
        """Two estimates of V(s, z), ``[2, n]``, standardised with the mean and standard deviation of returns.

        ``averaged``: use the running mean of V's parameters, which is less noisy.
        """
        critic = self.average_critic if averaged else self.critic
        return critic(states, z)[..., 0]

    def scaled(self, rewards: Tensor) -> Tensor:
        """Standardise rewards to mean 0 and standard deviation 1 over the data."""
        return (rewards - self.reward_scale[0]) / self.reward_scale[1]


class Energy(nn.Module):
    """The adversary f(r, s', z, history, s, a), a product of embeddings of (r, s') and of the rest.

    f = f_0 + g. The network ``blind`` computes f_0, which does not depend on z and is trained separately. The gain of f
    over f_0 in the contrast estimates the mutual information of (r, s') and z given history, s and a.

    Args:
        observations, actions: sizes of an observation and an action.
        settings: sizes of the networks.
    """

    def __init__(self, observations: int, actions: int, settings: DoCConfig) -> None:
        super().__init__()
        known, embedding = settings.width + observations + actions, settings.energy_width
        self.outcome = MLP(1 + observations, settings.hidden, embedding)
        self.blind = MLP(known, settings.hidden, embedding)
        self.seeing = MLP(known + settings.latent, settings.hidden, embedding)

    def forward(
        self, known: Sequence[Tensor], z: Tensor, outcome: Sequence[Tensor], frozen: bool = False
    ) -> tuple[Tensor, Tensor]:
        """f and f_0 of every row with every row's outcome, ``[n, n]`` each; the diagonal holds the true pairs.

        Args:
            known: history ``[n, W]``, states ``[n, D]``, actions as inputs ``[n, A]``.
            z: ``[n, Z]``.
            outcome: rewards ``[n, 1]``, scaled, and next states ``[n, D]``.
            frozen: gradients reach z but not the networks.
        """
        outcomes = self.outcome(*outcome, frozen=frozen)[0]
        blind = self.blind(*known, frozen=frozen)[0]
        seeing = self.seeing(*known, z, frozen=frozen)[0]
        scale = 1 / math.sqrt(outcomes.shape[1])
        without = blind @ outcomes.T * scale
        return without + seeing @ outcomes.T * scale, without
