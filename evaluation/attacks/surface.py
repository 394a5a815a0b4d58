"""Differentiable access to an agent's action distribution, mode and critic, for attacks.

:func:`surface` adapts agents of this package, of Stable-Baselines3 and of sb3-contrib. Nothing else in the attacks
depends on an agent's class.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Normal, kl_divergence

from agentgym.errors import InvalidParameter
from agentgym.wrappers.preprocessing import AsTrained

__all__ = ["Surface", "divergence", "surface"]


@runtime_checkable
class Learned(Protocol):
    """An agent with a torch policy that has a training and a prediction mode."""

    policy: Any


@runtime_checkable
class Judging(Protocol):
    """An agent with a critic: (observations, actions) -> Q [N, 1] of each network, or quantiles."""

    critic: Any


@runtime_checkable
class TorchPolicy(Protocol):
    """A policy that consists of networks."""

    def set_training_mode(self, mode: bool) -> None:
        """Switch between training and prediction mode."""


@runtime_checkable
class ActorCritic(Protocol):
    """The policies of PPO, A2C and TRPO."""

    def get_distribution(self, observations: Tensor) -> Any:
        """The action distribution, as Stable-Baselines3's object."""


@runtime_checkable
class StochasticActor(Protocol):
    """The actors of IQL and ODICE."""

    def distribution(self, observations: Tensor) -> Distribution:
        """The action distribution."""


@runtime_checkable
class SquashedActor(Protocol):
    """The actors of SAC, TQC and MDPO."""

    def get_action_dist_params(self, observations: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Mean, log standard deviation, and arguments for state-dependent exploration."""


@dataclass(frozen=True)
class Surface:
    """The parts of an agent that attacks use. Observations [N, ...] are the environment's; gradients flow to them.

    Attributes:
        name: name of the agent's class.
        policy: the policy, in prediction mode.
        critic: the critic, or None.
        as_seen: converts the environment's observations to the networks' inputs.
    """

    name: str
    policy: TorchPolicy
    critic: Callable[[Tensor, Tensor], Any] | None
    as_seen: Callable[[Tensor], Tensor]

    def distribution(self, observations: Tensor) -> list[Distribution]:
        """The action distribution, as a list of independent factors (most policies have one).

        A tanh-squashed Gaussian (SAC) is returned before squashing, since divergences are invariant under bijections. A
        deterministic actor (TD3, DDPG) is treated as a Gaussian of standard deviation 1 around its action, and action
        values (DQN, QR-DQN) as the logits of a softmax.

        Raises:
            InvalidParameter: the policy has no distribution, or is recurrent.
        """
        if "lstm_actor" in _parts(self.policy):
            raise InvalidParameter(
                f"The policy of {type(self.policy).__name__} depends on its memory, which this attack does not follow. "
                "Use the random attack instead."
            )
        observations = self.as_seen(observations)
        if isinstance(self.policy, ActorCritic):
            found = self.policy.get_distribution(observations).distribution
            return list(found) if isinstance(found, list) else [found]
        parts = _parts(self.policy)
        if "q_net" in parts:
            return [Categorical(logits=parts["q_net"](observations))]
        if "quantile_net" in parts:  # [N, quantiles, actions]
            return [Categorical(logits=parts["quantile_net"](observations).mean(1))]
        match self._actor():
            case StochasticActor() as actor:
                return [actor.distribution(observations)]
            case SquashedActor() as actor:
                mean, log_std, extra = actor.get_action_dist_params(observations)
                if extra:  # state-dependent exploration: the standard deviation depends on the features too
                    exploration: Any = actor
                    return [exploration.action_dist.proba_distribution(mean, log_std, **extra).distribution]
                return [Normal(mean, log_std.exp())]
            case actor:
                return [Normal(actor(observations), 1.0)]

    def mode(self, observations: Tensor) -> Tensor:
        """The policy's mode [N, action], scaled as the critic expects it.

        Raises:
            InvalidParameter: there is no actor.
        """
        actor, observations = self._actor(), self.as_seen(observations)
        stochastic = isinstance(actor, SquashedActor)
        action: Tensor = actor(observations, deterministic=True) if stochastic else actor(observations)
        return action

    @property
    def value(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The function (observations, actions) -> Q [N], the minimum of the agent's critics.

        Raises:
            InvalidParameter: there is no critic of states and actions.
        """
        if self.critic is None:
            raise InvalidParameter(
                f"The critic attack needs the agent's Q(s, a), and {self.name} has none. "
                "Use maximal_action_difference instead."
            )
        return self._least

    def _least(self, observations: Tensor, actions: Tensor) -> Tensor:
        assert self.critic is not None
        values = self.critic(self.as_seen(observations), actions)
        if isinstance(values, Tensor):  # TQC: quantiles [N, critics, quantiles], of which Q is the mean
            return values.mean(2).amin(1)
        return torch.cat(values, dim=1).amin(dim=1)

    def _actor(self) -> Any:
        actor = _parts(self.policy).get("actor")
        if actor is None:
            raise InvalidParameter(
                f"The attack needs a torch policy with an actor or an action distribution; {self.name} "
                "has none. Use the random attack instead."
            )
        return actor


def surface(agent: Any) -> Surface:
    """The parts of ``agent`` that attacks use. Its policy is switched to prediction mode.

    Raises:
        InvalidParameter: there is no torch policy.
    """
    own, as_seen = (agent.agent, agent.differentiable) if isinstance(agent, AsTrained) else (agent, _unchanged)
    name = type(own).__name__
    if not (isinstance(own, Learned) and isinstance(own.policy, TorchPolicy)):
        raise InvalidParameter(
            f"The attack follows gradients of a torch policy; {name} has none. Use the random attack instead."
        )
    own.policy.set_training_mode(False)
    return Surface(name, own.policy, own.critic if isinstance(own, Judging) else None, as_seen)


def divergence(clean: list[Distribution], seen: list[Distribution]) -> Tensor:
    """KL(clean || seen) per row, [N], summed over independent factors and entries of the action."""
    factors = (kl_divergence(p, q) for p, q in zip(clean, seen, strict=True))
    return torch.stack([factor.flatten(1).sum(1) if factor.ndim > 1 else factor for factor in factors]).sum(0)


def _parts(policy: Any) -> dict[str, nn.Module]:
    return dict(policy.named_children()) if isinstance(policy, nn.Module) else {}


def _unchanged(observations: Tensor) -> Tensor:
    return observations
