"""The critic's surprise about an agent's reward."""

from typing import ClassVar

import numpy as np
import torch

from agentgym.evaluation.forensics.detectors.base import Fitted, Floats, on_living
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.team import require_critic

__all__ = ["TDError"]


class TDError(Fitted):
    """abs(r_i + gamma Q_i' - Q_i) of the step before, known at this one.

    A critic V of the team has one error for all agents, from the sum of rewards: it tells that something is wrong, and
    not who.
    """

    name: ClassVar[str] = "td_error"

    def _score(self, episodes: Episodes) -> Floats:
        shape, alive = episodes.alive.shape, torch.as_tensor(episodes.alive).flatten(0, 1)
        with torch.no_grad():
            values = require_critic(
                self.team, on_living(episodes, "received"), on_living(episodes, "executed"), alive
            ).numpy()
        values = values.reshape(*shape[:2], -1)
        paid = np.where(episodes.alive, episodes.rewards, 0.0)
        paid = paid if values.shape[-1] == shape[2] else paid.sum(2, keepdims=True)
        found = np.zeros(shape)
        both = episodes.alive[:, 1:] & episodes.alive[:, :-1]
        error = np.abs(paid[:, :-1] + self.team.gamma * values[:, 1:] - values[:, :-1])
        found[:, 1:] = np.where(both, error, 0.0)
        return found
