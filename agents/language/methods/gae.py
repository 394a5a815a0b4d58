"""PPO with a critic: generalised advantage estimation over decisions, over turns, or over both."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.critic import Critic
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Estimator
from agentgym.agents.language.policies.policy import Policy
from agentgym.contracts.settings import Preset, Range

__all__ = ["GAE", "PPO", "decisions_gae", "levels_gae", "turns_gae"]

PPO = Preset(
    "PPO with a critic (arXiv 1707.06347), GAE over decisions",
    {"advantage": "gae", "clip_low": 0.2, "clip_high": 0.2, "methods": ()},
)


def backwards(rewards: Tensor, values: Tensor, there: Tensor, gamma: float, lam: float) -> Tensor:
    """A_u = d_u + gamma lam A_{u+1}, d_u = r_u + gamma V_{u+1} - V_u, over the places that are there; all [B, N]."""
    advantages = torch.zeros_like(values)
    later, bootstrap = torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    for place in reversed(range(values.shape[1])):
        delta = rewards[:, place] + gamma * bootstrap - values[:, place]
        here = there[:, place]
        advantages[:, place] = torch.where(here, delta + gamma * lam * later, 0.0)
        later = torch.where(here, advantages[:, place], later)
        bootstrap = torch.where(here, values[:, place], bootstrap)
    return advantages


def ends_of_turns(batch: Batch) -> Tensor:
    """bool [B, U]: the last decision of each turn."""
    there = batch.at >= 0
    following = torch.cat([batch.turn[:, 1:], torch.full_like(batch.turn[:, :1], -1)], 1)
    goes_on = torch.cat([there[:, 1:], torch.zeros_like(there[:, :1])], 1)
    return there & ((following != batch.turn) | ~goes_on)


def starts_of_turns(batch: Batch) -> Tensor:
    """bool [B, U]: the first decision of each turn."""
    there = batch.at >= 0
    before = torch.cat([torch.full_like(batch.turn[:, :1], -1), batch.turn[:, :-1]], 1)
    return there & (before != batch.turn)


def paid_at_decisions(batch: Batch) -> Tensor:
    """Rewards [B, U]: each turn's at its last decision; those of turns without decisions at the last one before."""
    rewards = torch.zeros_like(batch.old_logp)
    sums = torch.cat([torch.zeros_like(batch.rewards[:, :1]), batch.rewards.cumsum(1)], 1)  # before each turn
    ends = ends_of_turns(batch)
    for row in range(len(batch)):
        places = ends[row].nonzero()[:, 0]
        # A turn's reward and those until the next turn with decisions; the first also gets what was paid before.
        edges = [0, *(batch.turn[row, places[1:]]).tolist(), int(batch.turns[row])]
        rewards[row, places] = sums[row, edges[1:]] - sums[row, edges[:-1]]
    return rewards


def decisions_gae(batch: Batch, values: Tensor, gamma: float, lam: float) -> Tensor:
    """GAE over decisions, [B, U], from values [B, U]; text of the environment is skipped."""
    return backwards(paid_at_decisions(batch), values, batch.at >= 0, gamma, lam)


def turns_gae(batch: Batch, values: Tensor, gamma: float, lam: float) -> Tensor:
    """GAE over turns, [B, U]: values are those of each turn's first decision; all its decisions share A."""
    starts = starts_of_turns(batch)
    at_turns = torch.zeros_like(batch.rewards).scatter_add(1, batch.turn, torch.where(starts, values, 0.0))
    there = torch.zeros_like(batch.rewards).scatter_add(1, batch.turn, starts.to(values.dtype)) > 0
    paid = torch.zeros_like(batch.rewards).scatter_add(1, batch.turn, paid_at_decisions(batch))
    return backwards(paid, at_turns, there, gamma, lam).gather(1, batch.turn) * (batch.at >= 0)


def levels_gae(batch: Batch, values: Tensor, gamma: float, lam: float, gamma_turn: float) -> Tensor:
    """VAGEN's bi-level GAE, [B, U]: an outer one over the turns' last decisions with ``gamma_turn``, whose returns are
    the rewards of an inner one over decisions, which starts anew at each turn's end.
    """
    ends, rewards = ends_of_turns(batch), paid_at_decisions(batch)
    outer = backwards(rewards, values, ends, gamma_turn, lam)
    written = torch.where(ends, outer + values, 0.0)
    advantages = torch.zeros_like(values)
    later, bootstrap = torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    for place in reversed(range(values.shape[1])):
        end, here = ends[:, place], batch.at[:, place] >= 0
        later, bootstrap = torch.where(end, 0.0, later), torch.where(end, 0.0, bootstrap)
        delta = written[:, place] + gamma * bootstrap - values[:, place]
        later = torch.where(here, delta + gamma * lam * later, later)
        bootstrap = torch.where(here, values[:, place], bootstrap)
        advantages[:, place] = torch.where(here, later, 0.0)
    return advantages


@dataclass
class GAE(Estimator):
    """Advantages from a critic, a copy of the policy with a head, which is fitted in every iteration.

    With chosen commands a turn is one decision, and all levels are equal up to their discounts.

    Attributes:
        level: "decision"; "turn": one advantage a turn (VAGEN); "both": bi-level (VAGEN).
        gamma, lam: of GAE over decisions or, at the level "turn", over turns.
        gamma_turn: of the outer GAE of the level "both".
        rate: learning rate of the critic.
        clip: of the critic's loss.
        whiten: advantages to mean 0 and standard deviation 1 over the decisions.
    """

    ABOUT: ClassVar = About(
        "A = sum of (gamma lam)^k (r + gamma V' - V), over decisions, turns or both; critic: clipped squares",
        "arXiv 1707.06347; code of verl, core_algos.py; of VAGEN, turn_level_gae, bi_level_gae",
        "turns end where their numbers change; copies that look for rewards other than 0 lose turns without one",
    )
    PRESETS: ClassVar = {
        "turn": {"level": "turn", "gamma": 0.95, "lam": 0.95},
        "bi-level": {"level": "both", "gamma_turn": 0.95},
    }
    RANGES: ClassVar = {
        **dict.fromkeys(("gamma", "lam", "gamma_turn"), Range(0, 1)),
        **dict.fromkeys(("rate", "clip"), Range(0, above=True)),
    }
    PER_DECISION: ClassVar[bool] = True

    level: Literal["decision", "turn", "both"] = "decision"
    gamma: float = 1.0
    lam: float = 1.0
    gamma_turn: float = 0.95
    rate: float = 3e-4
    clip: float = 0.5
    whiten: bool = True
    critic: Critic | None = field(default=None, init=False)

    def begin(self, policy: Policy) -> None:
        """Make the critic."""
        with torch.random.fork_rng(devices=[]):
            self.critic = Critic(policy, self.rate)

    def estimate(self, batch: Batch, values: Tensor) -> Tensor:
        """Advantages before whitening, [B, U]."""
        if self.level == "turn":
            return turns_gae(batch, values, self.gamma, self.lam)
        if self.level == "both":
            return levels_gae(batch, values, self.gamma, self.lam, self.gamma_turn)
        return decisions_gae(batch, values, self.gamma, self.lam)

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B, U]; then fit the critic."""
        assert self.critic is not None
        with torch.no_grad():
            values = self.critic(batch)
        advantages = self.estimate(batch, values)
        fitted = starts_of_turns(batch) if self.level == "turn" else batch.at >= 0
        loss = self.critic.fit(
            batch, values, advantages + values, fitted, self.clip, settings.epochs, settings.minibatches, self.generator
        )
        self.numbers |= {"value_loss": loss, "value": float(values[fitted].mean())}
        if not self.whiten:
            return advantages
        counted = advantages[batch.mask]
        if len(counted) < 2:
            return advantages
        return (advantages - counted.mean()) / (counted.std() + 1e-8)

    def state(self) -> dict[str, Any]:
        """The critic."""
        return {} if self.critic is None else self.critic.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the critic."""
        assert self.critic is not None
        self.critic.restore(state)
