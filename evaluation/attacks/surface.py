"""What an attack touches of an agent: its action distribution, its mode and its critic, differentiable in what it sees.

:func:`surface` adapts agents of this package, of Stable-Baselines3 and of sb3-contrib; no other module of the attacks
knows how an agent is built.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from agentgym.errors import InvalidParameter
from agentgym.wrappers.preprocessing import AsTrained

__all__ = ["Surface", "divergence", "surface"]


@runtime_checkable
class Learned(Protocol):
    """An agent with a torch policy that can be put into the mode in which it predicts."""

    policy: Any


@runtime_checkable
class Judging(Protocol):
    """An agent with a critic of states and actions: (observations, actions) -> Q [N, 1] of each, or quantiles."""

    critic: Any


@runtime_checkable
class TorchPolicy(Protocol):
    """A policy of networks."""

    def set_training_mode(self, mode: bool) -> None:
        """Whether it learns or predicts."""


@runtime_checkable
class ActorCritic(Protocol):
    """The policies of PPO, A2C and TRPO."""

    def get_distribution(self, observations: Tensor) -> Any:
        """Stable-Baselines3's distribution of actions."""


@runtime_checkable
class StochasticActor(Protocol):
    """The actors of IQL and ODICE."""

    def distribution(self, observations: Tensor) -> Distribution:
        """The distribution of actions."""


@runtime_checkable
class SquashedActor(Protocol):
    """The actors of SAC, TQC and MDPO."""

    def get_action_dist_params(self, observations: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Mean, log deviation, and what state-dependent exploration adds."""


@dataclass(frozen=True)
class Surface:
    """What attacks ask of an agent. Observations [N, ...] are the environment's own; gradients flow to them.

    Attributes:
        name: the agent's class.
        policy: in the mode in which it predicts.
        critic: None where there is none.
        as_seen: what the networks get for the environment's observations.
    """

    name: str
    policy: TorchPolicy
    critic: Callable[[Tensor, Tensor], Any] | None
    as_seen: Callable[[Tensor], Tensor]

    def distribution(self, observations: Tensor) -> list[Distribution]:
        """The distribution of actions, one factor after the other (most policies have one).

        A Gaussian that is squashed by tanh (SAC) is given before the squashing: a divergence does not change under a
        bijection. A deterministic actor (TD3, DDPG) stands for a Gaussian of deviation 1 around its action.

        Raises:
            InvalidParameter: the policy has none, or it depends on a memory.
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
        match self._actor():
            case StochasticActor() as actor:
                return [actor.distribution(observations)]
            case SquashedActor() as actor:
                mean, log_std, extra = actor.get_action_dist_params(observations)
                if extra:  # state-dependent exploration: the deviation depends on the features too
                    exploration: Any = actor
                    return [exploration.action_dist.proba_distribution(mean, log_std, **extra).distribution]
                return [Normal(mean, log_std.exp())]
            case actor:
                return [Normal(actor(observations), 1.0)]

    def mode(self, observations: Tensor) -> Tensor:
        """The policy's mode [N, action], scaled as the critic takes it.

        Raises:
            InvalidParameter: there is no actor.
        """
        actor, observations = self._actor(), self.as_seen(observations)
        stochastic = isinstance(actor, SquashedActor)
        action: Tensor = actor(observations, deterministic=True) if stochastic else actor(observations)
        return action

    @property
    def value(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The function (observations, actions) -> Q [N], the least of the agent's critics.

        Raises:
            InvalidParameter: there is no critic of states and actions.
        """
        if self.critic is None:
            raise InvalidParameter(
                f"The critic attack asks the agent's own Q(s, a), and {self.name} has none. "
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
    """What attacks touch of ``agent``, whose policy is put into the mode in which it predicts.

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
    """KL(clean || seen) of each row [N], summed over independent factors and entries of the action."""
    factors = (kl_divergence(p, q) for p, q in zip(clean, seen, strict=True))
    return torch.stack([factor.flatten(1).sum(1) if factor.ndim > 1 else factor for factor in factors]).sum(0)


def _parts(policy: Any) -> dict[str, nn.Module]:
    return dict(policy.named_children()) if isinstance(policy, nn.Module) else {}


def _unchanged(observations: Tensor) -> Tensor:
    return observations
