"""MDPO's networks: SAC's actor and critics plus a state value, and an actor-critic with two optimisers."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.torch_layers import create_mlp
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from agentgym.agents.common.actor_critic import ActorCriticCnnPolicy, ActorCriticMlpPolicy
from agentgym.agents.common.mlp import stacked_mlp
from agentgym.agents.common.networks import TanhGaussianActor
from agentgym.agents.common.optim import FusedAdam
from agentgym.agents.common.stack.memory import Scratch
from agentgym.agents.sac.policies import MlpPolicy as SACMlpPolicy

if TYPE_CHECKING:
    from agentgym.agents.common.stack.stack import Stack

__all__ = [
    "MirrorDescentPolicy", "OnPolicyMirrorDescentCnnPolicy", "OnPolicyMirrorDescentPolicy", "StateValue",
]  # fmt: skip


class StateValue(nn.Module):
    """V(s), a multilayer perceptron on flattened observations.

    Args:
        features_dim: width of the input, D.
        layers: units of each hidden layer.
        activation_fn: activation between layers.
    """

    optimizer: torch.optim.Optimizer

    def __init__(self, features_dim: int, layers: Sequence[int], activation_fn: type[nn.Module]) -> None:
        super().__init__()
        self.network = nn.Sequential(*create_mlp(features_dim, 1, list(layers), activation_fn))
        self.activation_fn = activation_fn
        self._layers = [layer for layer in self.network if isinstance(layer, nn.Linear)]

    def values(self, features: Tensor) -> Tensor:
        """V(s), ``[B]``, of features ``[B, D]``."""
        weights, biases = [layer.weight for layer in self._layers], [layer.bias for layer in self._layers]
        return stacked_mlp(features, weights, biases, self.activation_fn)[0].squeeze(1)

    def stack(self, scratch: Scratch, optimizer: FusedAdam | None = None) -> "Stack":
        """:meth:`values` as a stack of one network with these parameters."""
        from agentgym.agents.common.stack.stack import Stack  # not before it is used: it imports Numba

        parameters = [tensor for layer in self._layers for tensor in (layer.weight, layer.bias)]
        sizes = [self._layers[0].in_features, *(layer.out_features for layer in self._layers)]
        return Stack(1, sizes, parameters, scratch, optimizer)


class MirrorDescentPolicy(SACMlpPolicy):
    """SAC's policy, with V(s), its target and the old actor instead of target critics.

    Attributes:
        old_actor: pi_old, the actor of the last snapshot.
        value_net, value_target: V and its target.
    """

    old_actor: TanhGaussianActor
    value_net: StateValue
    value_target: StateValue

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        del self.critic_target
        layers: Any = self.critic_kwargs["net_arch"]
        self.value_net = StateValue(self.actor.features_dim, layers, self.activation_fn).to(self.device)
        self.value_target = copy.deepcopy(self.value_net).requires_grad_(False)
        self.value_net.optimizer = self.optimizer_class(
            self.value_net.parameters(),
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )
        self.old_actor = self.make_actor().requires_grad_(False)
        self.old_actor.load_state_dict(self.actor.state_dict())


class OnPolicyMirrorDescentPolicy(ActorCriticMlpPolicy):
    """Actor and value network that share no weights and have separate optimisers.

    Attributes:
        actor_optimizer, value_optimizer: Adam with epsilon 1e-5.
    """

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        del self.optimizer
        rate = lr_schedule(1)
        self.actor_optimizer = FusedAdam(self.actor_parameters(), lr=rate, **self.optimizer_kwargs)
        self.value_optimizer = FusedAdam(self.value_parameters(), lr=rate, **self.optimizer_kwargs)

    def actor_parameters(self) -> list[nn.Parameter]:
        """The parameters of the action distribution."""
        spread = [self.log_std] if isinstance(self.action_space, spaces.Box) else []
        return [*self.mlp_extractor.policy_net.parameters(), *self.action_net.parameters(), *spread]

    def value_parameters(self) -> list[nn.Parameter]:
        """The parameters of the state value."""
        return [*self.mlp_extractor.value_net.parameters(), *self.value_net.parameters()]

    def inputs(self, observations: Tensor) -> Tensor:
        """What :meth:`factors` and :meth:`values` take, ``[B, D]``: no gradient reaches beyond it."""
        features: Any = self.extract_features(observations)
        return features

    def factors(self, features: Tensor) -> tuple[Any, list[torch.distributions.Distribution]]:
        """The action distribution for features ``[B, D]``, as Stable-Baselines3's object and as independent factors."""
        distribution: Any = self._get_action_dist_from_latent(self.mlp_extractor.forward_actor(features))
        found = distribution.distribution
        return distribution, list(found) if isinstance(found, list) else [found]

    def values(self, features: Tensor) -> Tensor:
        """V(s), ``[B]``, for features ``[B, D]``."""
        value: Tensor = self.value_net(self.mlp_extractor.forward_critic(features))
        return value.squeeze(1)


class OnPolicyMirrorDescentCnnPolicy(ActorCriticCnnPolicy):
    """Actor and value network with a convolutional network each, and separate optimisers.

    Attributes:
        actor_optimizer, value_optimizer: Adam with epsilon 1e-5.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, share_features_extractor=False, **keywords)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        del self.optimizer
        rate = lr_schedule(1)
        self.actor_optimizer = FusedAdam(self.actor_parameters(), lr=rate, **self.optimizer_kwargs)
        self.value_optimizer = FusedAdam(self.value_parameters(), lr=rate, **self.optimizer_kwargs)

    def actor_parameters(self) -> list[nn.Parameter]:
        """The parameters of the action distribution."""
        own = [*self.mlp_extractor.policy_net.parameters(), *self.action_net.parameters()]
        spread = [self.log_std] if isinstance(self.action_space, spaces.Box) else []
        return [*self.pi_features_extractor.parameters(), *own, *spread]

    def value_parameters(self) -> list[nn.Parameter]:
        """The parameters of the state value."""
        own = [*self.mlp_extractor.value_net.parameters(), *self.value_net.parameters()]
        return [*self.vf_features_extractor.parameters(), *own]

    def inputs(self, observations: Tensor) -> Tensor:
        """Images from 0 to 1, ``[B, C, H, W]``."""
        images: Any = preprocess_obs(observations, self.observation_space, self.normalize_images)
        return images

    def factors(self, images: Tensor) -> tuple[Any, list[torch.distributions.Distribution]]:
        """As for vectors."""
        latent = self.mlp_extractor.forward_actor(self.pi_features_extractor(images))
        distribution: Any = self._get_action_dist_from_latent(latent)
        found = distribution.distribution
        return distribution, list(found) if isinstance(found, list) else [found]

    def values(self, images: Tensor) -> Tensor:
        """V(s), ``[B]``."""
        value: Tensor = self.value_net(self.mlp_extractor.forward_critic(self.vf_features_extractor(images)))
        return value.squeeze(1)
