"""The networks: TD3's of Stable-Baselines3, with critics that also see the adversary's action."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_action_dim
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, create_mlp
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.td3.policies import Actor, TD3Policy
from torch import Tensor, nn

from agentgym.agents.common.networks import StackedCritic
from agentgym.agents.common.optim import FusedAdam

__all__ = ["AdversarialPolicy", "Adversary", "GamePolicy"]


class DeterministicActor(Actor):
    """TD3's actor, pi(s) = mu(s)."""

    mu: nn.Sequential
    optimizer: torch.optim.Optimizer


class GamePolicy(TD3Policy):
    """Actor pi(s), critics Q(s, a, w) and the targets of both.

    Args:
        moves: width of the adversary's action w.
        arguments, keywords: those of Stable-Baselines3's ``TD3Policy``.
    """

    actor: DeterministicActor
    actor_target: DeterministicActor
    critic: StackedCritic
    critic_target: StackedCritic

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        net_arch: dict[str, list[int]],
        activation_fn: type[nn.Module] = nn.ReLU,
        moves: int = 0,
        n_critics: int = 2,
    ) -> None:
        self.moves, self.adversary_layers = moves, net_arch.get("adversary", [])
        layers = {"pi": net_arch["pi"], "qf": net_arch["qf"]}
        super().__init__(
            observation_space, action_space, lr_schedule, layers, activation_fn, n_critics=n_critics,
            optimizer_class=FusedAdam,
        )  # fmt: skip

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> DeterministicActor:
        """Create the actor (or its target) on this policy's device."""
        keywords = self._update_features_extractor(self.actor_kwargs, features_extractor)
        return DeterministicActor(**keywords).to(self.device)

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> StackedCritic:
        """Create critics (or their targets) on this policy's device."""
        keywords = self._update_features_extractor(self.critic_kwargs, features_extractor)
        width = get_action_dim(self.action_space) + self.moves
        joint = spaces.Box(-1.0, 1.0, (width,), np.float32)
        return StackedCritic(**{**keywords, "action_space": joint}).to(self.device)

    def features(self, observations: Tensor) -> Tensor:
        """Flatten observations from the replay buffer, ``[B, ...]``, to float32 ``[B, D]``."""
        features: Tensor = self.actor.extract_features(observations, self.actor.features_extractor)
        return features


class Adversary(nn.Module):
    """The adversary's policy: an MLP with a tanh, from inputs ``[B, D]`` to actions in [-1, 1], ``[B, moves]``."""

    optimizer: torch.optim.Optimizer

    def __init__(self, inputs: int, moves: int, layers: list[int], activation_fn: type[nn.Module]) -> None:
        super().__init__()
        self.network = nn.Sequential(*create_mlp(inputs, moves, layers, activation_fn, squash_output=True))

    def forward(self, inputs: Tensor) -> Tensor:
        """Actions ``[B, moves]``."""
        actions: Tensor = self.network(inputs)
        return actions


class AdversarialPolicy(GamePolicy):
    """:class:`GamePolicy`, and a policy of the adversary with its target.

    Args:
        positions: how many parameters the adversary sees beside the observation.
        arguments, keywords: those of :class:`GamePolicy`.
    """

    adversary: Adversary
    adversary_target: Adversary

    def __init__(self, *arguments: Any, positions: int = 0, **keywords: Any) -> None:
        self.positions = positions
        super().__init__(*arguments, **keywords)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        sizes = self.actor.features_dim + self.positions, self.moves - self.positions
        self.adversary, self.adversary_target = (
            Adversary(*sizes, self.adversary_layers, self.activation_fn).to(self.device) for _ in range(2)
        )
        self.adversary_target.load_state_dict(self.adversary.state_dict())
        rate = lr_schedule(1)
        self.adversary.optimizer = FusedAdam(self.adversary.parameters(), lr=rate)

    def set_training_mode(self, mode: bool) -> None:
        """Record the mode. It has no effect on linear layers and fixed activations."""
        self.training = mode
