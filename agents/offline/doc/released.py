"""Dichotomy of Control's released code where it differs from the paper's method, for comparison only.

The card lists the differences. Source: google-research/dichotomy_of_control,
models/stochastic_decision_transformer.py.
"""

import torch
from torch import Tensor, nn

from agentgym.agents.offline.doc.config import DoCConfig
from agentgym.agents.offline.doc.losses import Batch
from agentgym.agents.offline.doc.networks import DoCPolicy
from agentgym.agents.offline.networks import MLP

__all__ = ["WARNING", "ReleasedEnergy", "contrast", "judged"]

WARNING = (
    'method="released-code" is not the method of the paper: it increases the mutual information that the paper '
    'removes, and its choice among candidates has no effect. It is for comparison only; use method="doc".'
)


class ReleasedEnergy(nn.Module):
    """An embedding of (history, action, z, s', s'): the next state appears in place of the reward."""

    def __init__(self, observations: int, actions: int, settings: DoCConfig) -> None:
        super().__init__()
        inputs = settings.width + actions + settings.latent + 2 * observations
        self.embedding = MLP(inputs, settings.hidden, settings.width)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Embed the concatenated inputs, ``[n, W]``."""
        return self.embedding(*inputs)[0]


def contrast(energy: nn.Module, batch: Batch, z: Tensor) -> tuple[Tensor, Tensor]:
    """InfoNCE, which f and q both *minimise*, so z encodes the outcome; and zero, since nothing is estimated.

    Scores are products of an embedding that uses the true next state and one that uses two independent shuffles.
    """
    steps = len(batch.states) // len(z)
    last = torch.arange(1, len(z) + 1, device=z.device) * steps - 1  # a window's last step is never padding
    known = (batch.history[last], batch.actions[last], z)
    following = batch.next_states[last]
    first, second = (following[torch.randperm(len(z), device=z.device)] for _ in range(2))
    scores = energy(*known, following, following) @ energy(*known, first, second).T
    return (scores.logsumexp(1) - scores.diagonal()).mean(), torch.zeros((), device=z.device)


def judged(policy: DoCPolicy, rows: int, candidates: Tensor) -> Tensor:
    """The input of V instead of the candidates ``[B, K, Z]``: K copies of one z of a future that is all padding."""
    device = candidates.device
    nothing = torch.zeros(rows, 1, device=device)
    states = nothing[..., None].expand(-1, -1, policy.of_state.in_features)
    actions = nothing[..., None].expand(-1, -1, policy.of_previous.in_features - 1)
    z = policy.posterior(states, actions, nothing, nothing.bool()).mean
    return z.expand(-1, candidates.shape[1], -1)
