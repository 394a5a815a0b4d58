"""The likelihood of executed actions under the policy that the team was given."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from agentgym.evaluation.forensics.detectors.base import Fitted, Floats, on_living
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.team import Team

__all__ = ["PolicyCUSUM", "PolicyGap", "PolicyNLL", "choice_log_probs", "entropies"]

SAME = 1e-5  # actions differ if an entry does by more than this; commands pass through the units of the environment


class PolicyNLL(Fitted):
    """-log pi_ref(executed action | received observation), with pi_ref the stored weights of the team.

    It sees faults of actions and of weights; a fault of observations changes nothing about how likely the action is.
    """

    name: ClassVar[str] = "policy_nll"

    def _score(self, episodes: Episodes) -> Floats:
        return np.maximum(self._nll(episodes), 0.0)

    def _nll(self, episodes: Episodes) -> Floats:
        with torch.no_grad():
            found = -self.team.log_probs(on_living(episodes, "received"), on_living(episodes, "executed"))
        return found.numpy().reshape(episodes.alive.shape)


class PolicyGap(Fitted):
    """log pi_ref(greedy action) - log pi_ref(executed action), at what the agent received.

    In greedy play it is 0 as long as the stored weights would have done the same, however uncertain they are, and the
    first other action stands out. It costs one pass of the policy, and a second where actions differ.
    """

    name: ClassVar[str] = "policy_gap"

    def _score(self, episodes: Episodes) -> Floats:
        seen, done = on_living(episodes, "received"), on_living(episodes, "executed")
        greedy = self.team.act(seen.float()).double()
        rows = ((done - greedy).abs() > SAME).any(-1).any(-1)
        found = torch.zeros(seen.shape[:2], dtype=torch.float64)
        if bool(rows.any()):
            with torch.no_grad():
                best, taken = (self.team.log_probs(seen[rows], actions[rows]) for actions in (greedy, done))
            found[rows] = (best - taken).clamp_min(0.0)
        return found.numpy().reshape(episodes.alive.shape)


class PolicyCUSUM(PolicyNLL):
    """The cumulated surprise max(0, S + nll - entropy - drift), for teams that sample their actions.

    Sampled play makes single unlikely actions ordinary; many of them are not.

    Args:
        team: the team that played the episodes.
        drift: what is taken off in each step, in nats.
    """

    name: ClassVar[str] = "policy_cusum"

    def __init__(self, team: Team, drift: float = 0.2) -> None:
        super().__init__(team)
        self.drift = drift

    def _score(self, episodes: Episodes) -> Floats:
        surprise = self._nll(episodes) - entropies(self.team, episodes) - self.drift
        total, found = np.zeros_like(surprise[:, 0]), np.empty_like(surprise)
        for t in range(episodes.steps):
            total = np.maximum(0.0, total + np.where(episodes.alive[:, t], surprise[:, t], 0.0))
            found[:, t] = total
        return found


def entropies(team: Team, episodes: Episodes) -> Floats:
    """The entropy of each agent's policy at what it received, in nats [E, T, A]; of choices only.

    A Box policy of fixed width has the same entropy everywhere: 0 stands for it.
    """
    if not team.layout.discrete:
        return np.zeros(episodes.alive.shape)
    seen = on_living(episodes, "received")
    with torch.no_grad():
        logs = choice_log_probs(team, seen)
        found = -(logs.exp() * torch.where(logs.exp() > 0, logs, 0.0)).sum(-1)
    return found.numpy().reshape(episodes.alive.shape)


def choice_log_probs(team: Team, windows: Tensor) -> Tensor:
    """The log-probabilities of all choices, float64 [B, A, C]."""
    count = team.layout.width
    each = torch.eye(count, dtype=torch.float64).expand(len(windows), windows.shape[1], count, count)
    return torch.stack([team.log_probs(windows, each[:, :, k]) for k in range(count)], dim=-1)
