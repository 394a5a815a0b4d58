"""Return-conditioned behaviour cloning with a table of counts: P(a | s, return-to-go)."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from agentgym.agents.offline.agent import OfflineAgent
from agentgym.agents.offline.bins import binned
from agentgym.agents.offline.networks import OfflinePolicy
from agentgym.agents.offline.rcbc.config import RCBCConfig
from agentgym.contracts.agent import Traits
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import SpaceMismatch

__all__ = ["RCBC"]


class CountPolicy(OfflinePolicy):
    """The table of counts.

    Attributes:
        counts: number of steps in state s with action a and a return-to-go in bin r, ``[S, A, R]``.
        returns: mean return-to-go of each bin, ``[R]``; NaN in unused bins.
        target: the return to condition on.
    """

    def __init__(self, states: int, actions: int, bins: int) -> None:
        super().__init__()
        self.counts: Tensor
        self.returns: Tensor
        self.target: Tensor
        self.register_buffer("counts", torch.zeros(states, actions, bins))
        self.register_buffer("returns", torch.full((bins,), torch.nan))
        self.register_buffer("target", torch.zeros(()))

    def distribution(self, states: Tensor, wanted: Tensor) -> Tensor:
        """P(a | s, r), ``[B, A]``, where r is the return-to-go seen in s that is nearest to ``wanted`` (``[B]``).

        The distribution is uniform in states without data.
        """
        counts = self.counts[states]  # [B, A, R]
        gap = (self.returns - wanted[:, None]).abs().masked_fill(counts.sum(1) == 0, torch.inf)
        chosen = counts.gather(2, gap.argmin(1)[:, None, None].expand(-1, counts.shape[1], 1)).squeeze(2)
        total = chosen.sum(1, keepdim=True)
        return torch.where(total > 0, chosen / total.clamp_min(1), 1 / counts.shape[1])


class RCBC(OfflineAgent):
    """Return-conditioned behaviour cloning: imitates the steps that were followed by the target return.

    It is the baseline of Dichotomy of Control: in a stochastic environment it confuses luck with skill. It conditions
    on ``target``, less the rewards received so far, and predicts the return ``target``.

    Args:
        policy, env, dataset, seed, device: see :class:`~agentgym.agents.offline.agent.OfflineAgent`.
        **settings: fields of :class:`~agentgym.agents.offline.rcbc.config.RCBCConfig`.

    Raises:
        SpaceMismatch: observations or actions are not Discrete.
    """

    catalog_name: ClassVar[str] = "rcbc"
    Config = RCBCConfig
    action_spaces: ClassVar[Any] = (spaces.Discrete,)
    traits: ClassVar[Traits] = replace(OfflineAgent.traits, hears_rewards=True, promises=True)
    metric_names: ClassVar[tuple[str, ...]] = ("loss",)

    policy: CountPolicy

    def _build(self) -> None:
        if not isinstance(self.observation_space, spaces.Discrete):
            raise SpaceMismatch(
                f"{self.catalog_name} needs Discrete observations, and the dataset has {self.observation_space}. "
                "For others use dt."
            )
        self.policy = CountPolicy(self.observation_width, self.action_width, self.settings.return_bins)
        # Breaks ties between equally likely actions, so that none gains from its position.
        self.preference = torch.randperm(self.action_width).to(self.device)

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {}

    def _take(self, dataset: OfflineDataset) -> None:
        states = self._states_of(dataset.transitions().observations).argmax(1)
        actions = self._from_space(dataset.actions)
        index, means = binned(dataset.returns_to_go().astype(np.float64), self.settings.return_bins)
        bins = torch.as_tensor(index, device=self.device)
        policy, target = self.policy, self.settings.target
        policy.counts.zero_().index_put_((states, actions, bins), torch.ones_like(bins).float(), accumulate=True)
        policy.returns.copy_(torch.as_tensor(means))
        policy.target.fill_(float(dataset.returns.max()) if target is None else target)
        own = policy.counts[states, :, bins]
        self.loss = -(own[torch.arange(len(own)), actions] / own.sum(1)).log().mean()

    def _update(self) -> tuple[Tensor, ...]:
        """Learn nothing, since counting is done; return the mean of -log P(a | s, r)."""
        return (self.loss,)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False,
        reward: Any = None,
    ) -> tuple[np.ndarray, Any]:  # fmt: skip
        """Actions ``[B]``, and the remaining target return of each environment, float32 ``[B]``.

        Args:
            observation, state, episode_start, deterministic: as in Stable-Baselines3. Among equally likely actions the
                mode is always the same one, chosen by the agent's seed.
            reward: of the last step, ``[B]``.

        Raises:
            SpaceMismatch: the observation has another shape.
        """
        batch, single = self._batch(observation)
        wanted = np.full(len(batch), self.policy.target.item(), np.float32)
        if state is not None:
            left = state if reward is None else state - np.atleast_1d(reward)
            wanted = left if episode_start is None else np.where(episode_start, wanted, left).astype(np.float32)
        chances = self.policy.distribution(batch.argmax(1), torch.as_tensor(wanted, device=self.device))
        if deterministic:
            likeliest = chances >= chances.amax(1, keepdim=True) - 1e-6
            actions = torch.where(likeliest, self.preference, -1).argmax(1)
        else:
            actions = torch.multinomial(chances, 1, generator=self.generator).squeeze(1)
        found = self._to_space(actions.cpu().numpy())
        return (found[0] if single else found), wanted

    def promised(self, state: np.ndarray, count: int) -> np.ndarray:
        """The target return, ``[count]``."""
        return np.asarray(state, np.float64)
