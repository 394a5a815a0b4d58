"""SAC's policy: Stable-Baselines3's, with stacked critics, a fused optimiser and faster prediction."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, FlattenExtractor
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor

from agentgym.agents.common.networks import StackedCritic, TanhGaussianActor
from agentgym.agents.common.optim import FusedAdam
from agentgym.errors import InvalidParameter

__all__ = ["MlpPolicy"]


class MlpPolicy(SACPolicy):
    """Actor, critics and target critics on flattened observations.

    Takes these keywords of Stable-Baselines3's ``SACPolicy``: ``net_arch`` (list, or dict
    of ``pi`` and ``qf``), ``activation_fn``, ``n_critics``, ``optimizer_class``, ``optimizer_kwargs``,
    ``normalize_images``.

    Raises:
        InvalidParameter: gSDE, a Dict observation space, or a features extractor with weights.
    """

    actor: TanhGaussianActor
    critic: StackedCritic
    critic_target: StackedCritic

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        use_sde: bool = False,
        features_extractor_class: type[BaseFeaturesExtractor] = FlattenExtractor,
        share_features_extractor: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = FusedAdam,
        **kwargs: Any,
    ) -> None:
        if use_sde or share_features_extractor or features_extractor_class is not FlattenExtractor:
            raise InvalidParameter(
                "agentgym's SAC has no gSDE (use_sde) and no features extractor other than FlattenExtractor. "
                "Use stable_baselines3.SAC for them, or flatten the observations in a wrapper."
            )
        if isinstance(observation_space, spaces.Dict):
            raise InvalidParameter(
                "agentgym's SAC takes no Dict observations. Wrap the environment in "
                "gymnasium.wrappers.FlattenObservation, or use stable_baselines3.SAC."
            )
        super().__init__(observation_space, action_space, lr_schedule, optimizer_class=optimizer_class, **kwargs)
        self.is_vector = isinstance(observation_space, spaces.Box) and not is_image_space(observation_space)

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> TanhGaussianActor:
        """Create the actor on this policy's device."""
        return TanhGaussianActor(**self._update_features_extractor(self.actor_kwargs, features_extractor)).to(
            self.device
        )

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> StackedCritic:
        """Create critics (or their targets) on this policy's device."""
        return StackedCritic(**self._update_features_extractor(self.critic_kwargs, features_extractor)).to(self.device)

    def features(self, observations: Tensor) -> Tensor:
        """Flatten observations from the replay buffer, ``[B, ...]``, to float32 ``[B, D]``."""
        if self.is_vector:
            return observations.float().flatten(1)
        features: Tensor = self.actor.extract_features(observations, self.actor.features_extractor)
        return features

    def set_training_mode(self, mode: bool) -> None:
        """Record the mode. It has no effect on linear layers and fixed activations."""
        self.training = mode

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions within the action space's bounds, bit-equal to Stable-Baselines3's.

        Args:
            observation: one observation or a batch of them, ``[B, ...]``.
            state: returned unchanged; the policy has no memory.
            episode_start: not used.
            deterministic: return the mode tanh(mean) instead of a sample.

        Returns:
            float32 actions, ``[A...]`` or ``[B, A...]``, and ``state``.
        """
        shape = self.observation_space.shape
        observed = None if isinstance(observation, (dict, tuple)) else np.asarray(observation)
        if not self.is_vector or observed is None or shape not in (observed.shape, observed.shape[1:]):
            return super().predict(observation, state, episode_start, deterministic)  # other spaces; errors on shapes
        with torch.inference_mode():
            features = torch.from_numpy(observed.astype(np.float32)).to(self.device)
            squashed = self.actor.act(features.view(-1, self.actor.features_dim), deterministic)
        actions = self.unscale_action(squashed.cpu().numpy().reshape(-1, *self.action_space.shape))  # type: ignore[misc]
        return (actions[0] if observed.shape == shape else actions), state
