"""The policy of on-policy agents: Stable-Baselines3's actor and critic, with optional observation normalisation."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, FlattenExtractor, NatureCNN
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from agentgym.agents.common.normalization import NormalizedFeatures
from agentgym.errors import InvalidParameter

__all__ = ["ActorCriticCnnPolicy", "ActorCriticMlpPolicy"]

_LOG_SQRT_TWO_PI = math.log(math.sqrt(2 * math.pi))


class ActorCriticMlpPolicy(ActorCriticPolicy):
    """Separate actor and value networks on flattened observations.

    Takes Stable-Baselines3's keywords except those of gSDE and features extractors.

    Args:
        observation_space: of the environment, before normalisation.
        action_space: Box, Discrete, MultiDiscrete or MultiBinary.
        lr_schedule: learning rate as a function of the remaining progress.
        normalize_observations: normalise observations to zero mean and unit variance with running statistics, which
            are part of the policy's state. :meth:`observe` updates them.

    Raises:
        InvalidParameter: an option that agentgym's agents do not support.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        normalize_observations: bool = False,
        use_sde: bool = False,
        features_extractor_class: type[BaseFeaturesExtractor] = FlattenExtractor,
        **keywords: Any,
    ) -> None:
        if use_sde or features_extractor_class is not FlattenExtractor or isinstance(observation_space, spaces.Dict):
            raise InvalidParameter(
                "agentgym's on-policy agents have no gSDE, no Dict observations and no features extractors. "
                "Flatten observations in a wrapper, or use Stable-Baselines3's class."
            )
        if normalize_observations:
            features_extractor_class = NormalizedFeatures
        self._action_shape = action_space.shape or ()
        super().__init__(
            observation_space, action_space, lr_schedule, features_extractor_class=features_extractor_class, **keywords
        )

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Actions ``[B, A...]``, values ``[B, 1]`` and log-probabilities ``[B]``, for collecting rollouts.

        For Gaussian policies this computes the same bits as Stable-Baselines3, without building distribution objects,
        which take longer than a small network does on one observation.
        """
        if not isinstance(self.action_dist, DiagGaussianDistribution):
            return super().forward(obs, deterministic)
        features: Any = self.extract_features(obs)
        mean = _through([*self.mlp_extractor.policy_net, self.action_net], features)
        values = _through([*self.mlp_extractor.value_net, self.value_net], features)
        scale = torch.ones_like(mean) * self.log_std.exp()
        actions = mean if deterministic else mean + torch.normal(torch.zeros_like(mean), 1.0) * scale
        log_prob = -((actions - mean) ** 2) / (2 * scale**2) - scale.log() - _LOG_SQRT_TWO_PI
        return actions.reshape(-1, *self._action_shape), values, log_prob.sum(1)

    def observe(self, observations: Any) -> None:
        """Update the running statistics, if any, with a batch of observations ``[N, ...]``."""
        if isinstance(self.features_extractor, NormalizedFeatures):
            self.features_extractor.moments.update(observations.reshape(len(observations), -1))


class ActorCriticCnnPolicy(ActorCriticPolicy):
    """Actor and value network on images, behind one convolutional network that they share (Mnih et al. 2015).

    Takes Stable-Baselines3's keywords except those of gSDE. Images are divided by 255; ``normalize_observations``,
    which the configurations set for vectors, has no further effect.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        normalize_observations: bool = False,
        use_sde: bool = False,
        features_extractor_class: type[BaseFeaturesExtractor] = NatureCNN,
        **keywords: Any,
    ) -> None:
        if use_sde:
            raise InvalidParameter("agentgym's on-policy agents have no gSDE. Use Stable-Baselines3's class.")
        super().__init__(
            observation_space, action_space, lr_schedule, features_extractor_class=features_extractor_class, **keywords
        )

    def observe(self, observations: Any) -> None:
        """Do nothing: images have no running statistics."""


def _through(layers: Iterable[nn.Module], inputs: Tensor) -> Tensor:
    """Apply the layers in order, without PyTorch's hooks."""
    for layer in layers:
        inputs = layer.forward(inputs)
    return inputs
