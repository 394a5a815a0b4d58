"""TD3+BC's networks: actor, two critics and their targets."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agentgym.agents.offline.networks import MLP, Normalizer, OfflinePolicy

__all__ = ["Critics", "DeterministicActor", "TD3BCPolicy"]


class DeterministicActor(nn.Module):
    """pi(s), an MLP with a tanh.

    Args:
        normalizer: of the observations; shared with the policy and not a submodule.
        network: takes normalised states.
    """

    def __init__(self, normalizer: Normalizer, network: MLP) -> None:
        super().__init__()
        self.network, self._normalizer = network, [normalizer]  # in a list, so that it is not a submodule

    def of_states(self, states: Tensor) -> Tensor:
        """Actions in [-1, 1], ``[B, A]``, for normalised states ``[B, D]``."""
        return torch.tanh(self.network(states).squeeze(0))

    def forward(self, observations: Tensor) -> Tensor:
        """The same for unprocessed observations ``[B, ...]``."""
        return self.of_states(self._normalizer[0](observations))


class Critics(nn.Module):
    """Q1(s, a) and Q2(s, a), evaluated together.

    Args:
        normalizer: of the observations; shared with the policy and not a submodule.
        network: two members; takes normalised states and actions.
    """

    def __init__(self, normalizer: Normalizer, network: MLP) -> None:
        super().__init__()
        self.network, self._normalizer = network, [normalizer]

    def of_states(self, states: Tensor, actions: Tensor) -> Tensor:
        """``[2, B]`` for normalised states ``[B, D]`` and actions in [-1, 1] ``[B, A]``."""
        values: Tensor = self.network(states, actions).squeeze(2)
        return values

    def first_of_states(self, states: Tensor, actions: Tensor) -> Tensor:
        """Q1, ``[B]``, with gradients for the actions but not the critic."""
        values: Tensor = self.network(states, actions, frozen=True, members=slice(0, 1)).view(-1)
        return values

    def forward(self, observations: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        """``[B, 1]`` per critic for unprocessed observations ``[B, ...]``, as in Stable-Baselines3."""
        return self.network(self._normalizer[0](observations), actions).unbind(0)


class TD3BCPolicy(OfflinePolicy):
    """All networks; the targets are initialised as copies."""

    def __init__(self, observations: int, actions: int, layers: Sequence[int]) -> None:
        super().__init__()
        self.normalizer = Normalizer(observations)

        def actor() -> DeterministicActor:
            return DeterministicActor(self.normalizer, MLP(observations, layers, actions))

        def critics() -> Critics:
            return Critics(self.normalizer, MLP(observations + actions, layers, 1, members=2))

        self.actor, self.critic = actor(), critics()
        self.actor_target, self.critic_target = actor().requires_grad_(False), critics().requires_grad_(False)
        self.actor_target.load_state_dict(self.actor.state_dict())
        self.critic_target.load_state_dict(self.critic.state_dict())
