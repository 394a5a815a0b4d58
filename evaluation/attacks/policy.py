"""What an attack needs to know of a policy, read from agents in Stable-Baselines3's shape."""

from collections.abc import Callable
from typing import Any

import torch
from torch.distributions import Distribution, Normal, kl_divergence

from agentgym.errors import InvalidParameter
from agentgym.preprocessing import AsTrained

__all__ = ["action_distributions", "action_value", "divergence", "freeze", "greedy_action"]


def action_distributions(agent: Any, observations: torch.Tensor) -> list[Distribution]:
    """The policy's action distribution, one factor after the other (most policies have one).

    A Gaussian that is squashed by tanh (SAC) is given before the squashing: a divergence does not change under a
    bijection. A deterministic actor (TD3, DDPG) stands for a Gaussian of deviation 1 around its action.

    Raises:
        InvalidParameter: the agent has no such policy.
    """
    policy: Any = getattr(agent, "policy", None)
    if hasattr(policy, "lstm_actor"):
        raise InvalidParameter(
            f"The policy of {type(policy).__name__} depends on its memory, which this attack does not follow. "
            "Use the random attack instead."
        )
    observations = _as_seen(agent, observations)
    if hasattr(policy, "get_distribution"):  # PPO, A2C, TRPO
        found = policy.get_distribution(observations).distribution
        return list(found) if isinstance(found, list) else [found]
    actor = _actor(agent)
    if hasattr(actor, "distribution"):  # IQL, ODICE
        return [actor.distribution(observations)]
    if not hasattr(actor, "get_action_dist_params"):
        return [Normal(actor(observations), 1.0)]
    mean, log_std, extra = actor.get_action_dist_params(observations)
    if extra:  # state-dependent exploration: the deviation depends on the features too
        return [actor.action_dist.proba_distribution(mean, log_std, **extra).distribution]
    return [Normal(mean, log_std.exp())]


def divergence(clean: list[Distribution], seen: list[Distribution]) -> torch.Tensor:
    """KL(clean || seen) of each row [N], summed over independent factors and entries of the action."""
    factors = (kl_divergence(p, q) for p, q in zip(clean, seen, strict=True))
    return torch.stack([factor.flatten(1).sum(1) if factor.ndim > 1 else factor for factor in factors]).sum(0)


def greedy_action(agent: Any, observations: torch.Tensor) -> torch.Tensor:
    """The policy's mode [N, action], scaled as the critic takes it; gradients flow to the observations."""
    actor, observations = _actor(agent), _as_seen(agent, observations)
    stochastic = hasattr(actor, "get_action_dist_params")
    action: torch.Tensor = actor(observations, deterministic=True) if stochastic else actor(observations)
    return action


def action_value(agent: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The function (observations, actions) -> Q [N], the least of the agent's critics.

    Raises:
        InvalidParameter: the agent has no critic of states and actions.
    """
    critic = getattr(agent, "critic", None)
    if critic is None:
        raise InvalidParameter(
            f"The critic attack asks the agent's own Q(s, a), and {_name(agent)} has none. "
            "Use maximal_action_difference instead."
        )

    def least(observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        values = critic(_as_seen(agent, observations), actions)
        if isinstance(values, torch.Tensor):  # TQC: quantiles [N, critics, quantiles], of which Q is the mean
            return values.mean(2).amin(1)
        return torch.cat(values, dim=1).amin(dim=1)

    return least


def _as_seen(agent: Any, observations: torch.Tensor) -> torch.Tensor:
    """What the networks get where wrappers stood between the training environments and the agent."""
    found: torch.Tensor = agent.differentiable(observations) if isinstance(agent, AsTrained) else observations
    return found


def _actor(agent: Any) -> Any:
    actor = getattr(agent, "actor", None) or getattr(getattr(agent, "policy", None), "actor", None)
    if actor is None:
        raise InvalidParameter(
            f"The attack needs a torch policy with an actor or an action distribution; {_name(agent)} "
            "has none. Use the random attack instead."
        )
    return actor


def _name(agent: Any) -> str:
    return type(agent.agent if isinstance(agent, AsTrained) else agent).__name__


def freeze(agent: Any) -> None:
    """Put the policy into the mode in which it predicts.

    Raises:
        InvalidParameter: there is no torch policy.
    """
    policy: Any = getattr(agent, "policy", None)
    if not hasattr(policy, "set_training_mode"):
        raise InvalidParameter(
            f"The attack follows gradients of a torch policy; {_name(agent)} has none. Use the random attack instead."
        )
    policy.set_training_mode(False)
