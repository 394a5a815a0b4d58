"""The policy of on-policy agents: Stable-Baselines3's actor and critic, with normalised observations as an option."""

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, FlattenExtractor
from stable_baselines3.common.type_aliases import Schedule

from agentgym.agents.common.normalization import NormalizedFeatures
from agentgym.errors import InvalidParameter

__all__ = ["ActorCriticMlpPolicy"]


class ActorCriticMlpPolicy(ActorCriticPolicy):
    """Separate actor and value networks on flattened observations.

    Takes Stable-Baselines3's keywords but for gSDE and features extractors.

    Args:
        observation_space: of the environment, before any normalisation.
        action_space: Box, Discrete, MultiDiscrete or MultiBinary.
        lr_schedule: learning rate by the progress that remains.
        normalize_observations: bring observations to zero mean and unit variance by running statistics that are
            part of the policy's state; :meth:`observe` updates them.

    Raises:
        InvalidParameter: an option that the house's agents do not have.
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
        super().__init__(
            observation_space, action_space, lr_schedule, features_extractor_class=features_extractor_class, **keywords
        )

    def observe(self, observations: Any) -> None:
        """Take a batch of observations, ``[N, ...]``, into the running statistics, if there are any."""
        if isinstance(self.features_extractor, NormalizedFeatures):
            self.features_extractor.moments.update(observations.reshape(len(observations), -1))
