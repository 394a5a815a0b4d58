"""OREO: a policy and its values from recorded episodes, by squared errors of the soft Bellman equation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from agentgym.agents.language.loop.agent import LanguageAgent
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.critic import Critic
from agentgym.agents.language.loop.imitation import recorded
from agentgym.agents.language.loop.rollout import Anchors
from agentgym.agents.language.loop.trajectory import Batch, Episode
from agentgym.agents.language.methods.gae import starts_of_turns
from agentgym.agents.language.methods.plugin import About, Estimator, Terms
from agentgym.agents.language.policies.policy import Policy
from agentgym.contracts.settings import Range
from agentgym.seeding import episode_seed

__all__ = ["OREO", "OREOConfig", "OREOLoss", "bellman_errors"]


def bellman_errors(values: Tensor, moved: Tensor, returns: Tensor, beta: float) -> Tensor:
    """V_u + beta S_u - R with S_u the sum of log p - log p_ref from u on, [B, N].

    Args:
        values: V, [B, N].
        moved: log p - log p_ref, [B, N]; 0 where there is nothing. Only the first term of each sum has a gradient.
        returns: R, [B].
        beta: temperature.
    """
    later = moved.detach().flip(1).cumsum(1).flip(1) - moved.detach()
    return values + beta * (moved + later) - returns[:, None]


@dataclass
class OREOLoss(Estimator):
    """OREO (arXiv 2412.16145): the critic and the policy both minimise (V_u + beta S_u - R)^2.

    S_u is the sum of log p - log p_ref over the decisions from state u on; the reference is the policy before the first
    iteration. The critic's error has a gradient in V alone, the policy's in the decisions of the state's own turn
    alone. Errors are averaged over an episode's states, then over episodes. The critic steps first, and the policy
    uses the values from before that step. There are no advantages.

    Attributes:
        beta: temperature.
        level: states are before each "turn", or before each "decision".
        kl: weight of the distance from the reference, mean(exp(d) - d - 1), d = log p_ref - log p.
        rate: learning rate of the critic.
    """

    ABOUT: ClassVar = About(
        "critic and policy minimise (V_u + beta sum_{v >= u} log p / p_ref - R)^2, offline (agentgym train oreo)",
        "arXiv 2412.16145; code of jwhj/OREO, pcl_trainer.py",
        "the code's KL is exact over the vocabulary, ours is estimated at the decisions",
    )
    RANGES: ClassVar = {"beta": Range(0, above=True), "kl": Range(0), "rate": Range(0, above=True)}
    REPLACES: ClassVar[bool] = True
    COMPARES: ClassVar[bool] = False

    beta: float = 0.03
    level: Literal["turn", "decision"] = "turn"
    kl: float = 0.01
    rate: float = 3e-4
    critic: Critic | None = field(default=None, init=False)
    reference: Policy | None = field(default=None, init=False)

    def begin(self, policy: Policy) -> None:
        """Copy the policy, as reference and for the critic."""
        self.reference = policy.twin().requires_grad_(False)
        with torch.random.fork_rng(devices=[]):
            self.critic = Critic(policy, self.rate)

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """Ones [B], so that no episode counts as one without signal."""
        return torch.ones_like(batch.rewards[:, 0])

    def surrogate(self, terms: Terms) -> Tensor:
        """Nothing: the loss is :meth:`loss`."""
        return torch.zeros_like(terms.loss)

    def loss(self, batch: Batch, logp: Tensor, entropy: Tensor, iteration: int) -> Tensor:
        """One step of the critic; the policy's loss."""
        assert self.critic is not None
        assert self.reference is not None
        with torch.no_grad():
            reference, _ = self.reference.evaluate_decisions(batch)
        values, mask = self.critic(batch), batch.mask
        moved = (logp - reference) * mask
        errors = self.errors(batch, values.detach(), moved)
        self.numbers["value_loss"] = self.critic.step(self.errors(batch, values, moved.detach()))
        distance = (reference - logp).clamp(max=20)
        kl = ((distance.exp() - distance - 1) * mask).sum() / mask.sum().clamp(min=1)
        self.numbers |= {"error": float(errors.detach()), "distance": float(kl.detach())}
        return errors + self.kl * kl

    def errors(self, batch: Batch, values: Tensor, moved: Tensor) -> Tensor:
        """The mean squared error, of states within an episode, then of episodes."""
        if self.level == "decision":
            states = batch.mask
        else:
            zeros = torch.zeros(batch.rewards.shape, dtype=values.dtype, device=values.device)
            starts = starts_of_turns(batch) & batch.mask
            states = zeros.scatter_add(1, batch.turn, starts.to(values.dtype)) > 0
            values = zeros.scatter_add(1, batch.turn, torch.where(starts, values, 0.0))
            moved = zeros.scatter_add(1, batch.turn, moved)
        squares = torch.where(states, bellman_errors(values, moved, batch.returns(), self.beta) ** 2, 0.0)
        return (squares.sum(1) / states.sum(1).clamp(min=1)).mean()

    def state(self) -> dict[str, Any]:
        """The critic and the reference."""
        if self.critic is None or self.reference is None:
            return {}
        return {"critic": self.critic.state(), "reference": dict(self.reference.state_dict())}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore both."""
        assert self.critic is not None
        assert self.reference is not None
        self.critic.restore(state["critic"])
        self.reference.load_state_dict(state["reference"])


@dataclass
class OREOConfig(LanguageConfig):
    """Settings of OREO. The episodes are the environment's demonstrations with random turns, which often fail."""

    advantage: str = "oreo"  # an estimator, NAME or NAME:KEY=VALUE,KEY=VALUE: agentgym list estimators
    methods: tuple[str, ...] = ()  # plug-ins in this order: NAME or NAME:KEY=VALUE,...
    imitation_random: float = 0.5  # share of turns with a random command instead of the expert's


class OREO(LanguageAgent):
    """Offline reasoning optimisation (Wang et al., arXiv 2412.16145), from recorded episodes.

    It plays no episodes: an iteration learns from ``tasks * group_size`` recorded ones, the environment's
    demonstrations by ``imitation_expert`` with ``imitation_random`` random turns, of which every executed command is a
    decision. ``num_timesteps`` counts their turns.
    """

    catalog_name = "oreo"
    Config: ClassVar[type[LanguageConfig]] = OREOConfig

    def _play(self, heard: BaseCallback, anchors: Anchors) -> list[Episode]:
        """Recorded episodes; empty: a callback said stop."""
        settings = self.settings
        seeds: Sequence[int] = [episode_seed(self.seed, 5, self.iteration, n) for n in range(settings.episodes)]
        episodes = recorded(self.policy, self._shown(seeds), self.choosing)
        self.num_timesteps += sum(len(episode.turns) for episode in episodes)
        return episodes if heard.on_step() else []
