"""The base class of IQL and ODICE, whose policies clone dataset actions weighted by a value function."""

from collections.abc import Sequence
from typing import Any, ClassVar

from gymnasium import spaces
from torch import Tensor

from agentgym.agents.offline.actors import Actor, CategoricalActor, GaussianActor
from agentgym.agents.offline.networks import Normalizer
from agentgym.agents.offline.transitions import Batch, TransitionAgent
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import InvalidParameter

__all__ = ["WeightedCloning", "require"]


class WeightedCloning(TransitionAgent):
    """Base of agents that extract a policy by weighted maximum likelihood, for Box or Discrete actions.

    Their ``Config`` has ``return_range``, ``reward_scale``, ``reward_shift`` and ``normalize_observations``.
    """

    action_spaces: ClassVar[Any] = (spaces.Box, spaces.Discrete)
    actor: Actor

    def _make_actor(self, normalizer: Normalizer, layers: Sequence[int], bounded: bool) -> Actor:
        self.normalizes = self.settings.normalize_observations
        if isinstance(self.action_space, spaces.Discrete):
            return CategoricalActor(normalizer, self.observation_width, layers, self.action_width)
        return GaussianActor(normalizer, self.observation_width, layers, self.action_width, bounded)

    def _scaled(self, rewards: Tensor, dataset: OfflineDataset) -> Tensor:
        """scale * r + shift, after scaling the rewards so that returns have a range of ``return_range``.

        Raises:
            InvalidParameter: all returns are equal.
        """
        settings = self.settings
        if settings.return_range:
            spread = float(dataset.returns.max() - dataset.returns.min())
            if spread == 0.0:
                raise InvalidParameter(
                    f"All episodes of {dataset.description.name} have the return {dataset.returns[0]:g}, so their "
                    "range cannot be scaled: use return_range=0, and reward_scale if rewards are far from 1."
                )
            rewards = rewards * (settings.return_range / spread)
        return rewards * settings.reward_scale + settings.reward_shift

    def _cloning_loss(self, batch: Batch, weights: Tensor) -> Tensor:
        """-E[weight log pi(a|s)] with constant weights ``[B]``."""
        return self._weighted(self.actor.log_prob(batch.states, batch.actions), weights)

    def _weighted(self, log_prob: Tensor, weights: Tensor) -> Tensor:
        """The same from log pi(a|s), ``[B]``."""
        return -(weights * log_prob).mean()

    def _act(self, observations: Tensor, deterministic: bool) -> Tensor:
        return self.actor.act(observations, deterministic, self.generator)


def require(holds: bool, name: str, value: Any, allowed: str) -> None:
    """Check a setting.

    Raises:
        InvalidParameter: ``holds`` is false.
    """
    if not holds:
        raise InvalidParameter(f"{name} is {value}; it must be {allowed}.")
