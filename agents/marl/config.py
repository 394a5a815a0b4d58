"""Hyperparameters of the agents with a shared policy. Sources are in the card."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from stable_baselines3.common.utils import LinearSchedule

from agentgym.agents.common.activations import ACTIVATIONS, Activation
from agentgym.agents.common.hyperparameters import Checked

__all__ = ["SharedMDPOConfig", "SharedPPOConfig"]


@dataclass
class SharedPPOConfig(Checked):
    """Proximal Policy Optimization; a sample is one step of one agent."""

    # Sharing
    mirror: bool = True  # the same in the mirrored world, where the environment says what its mirror is

    # Collection
    n_steps: int = 25  # steps of every world an iteration
    normalize: bool = False  # observations and rewards to unit scale by running statistics; not with mirror

    # Optimisation
    learning_rate: float = 1e-3
    learning_rate_end: float = 1e-4  # reached linearly at the end of training
    n_epochs: int = 10
    batch_size: int = 1000  # samples
    clip_range: float = 0.2  # the ratio of new to old probability is kept within 1 -+ this
    normalize_advantage: bool = True
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5

    # Returns
    gamma: float = 0.99  # discount a step
    gae_lambda: float = 0.95

    # Networks
    actor_layers: tuple[int, ...] = (64, 64)
    value_layers: tuple[int, ...] = (64, 64)
    activation: Activation = "tanh"
    orthogonal: bool = True  # orthogonal initial weights
    initial_std: float = 0.5  # standard deviation of the untrained policy's actions

    def to_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for ``SharedPPO(policy, env, ...)``."""
        return _to_kwargs(asdict(self))


@dataclass
class SharedMDPOConfig(Checked):
    """On-policy Mirror Descent Policy Optimization; a sample is one step of one agent."""

    # Sharing
    mirror: bool = True  # the same in the mirrored world, where the environment says what its mirror is

    # Collection
    n_steps: int = 25  # steps of every world an iteration
    normalize: bool = False  # observations and rewards to unit scale by running statistics; not with mirror

    # Policy
    policy_steps: int = 40  # m, gradient steps an iteration, each on all samples
    max_grad_norm: float = 0.5

    # Value
    value_epochs: int = 10
    value_batch_size: int = 1000  # samples
    gamma: float = 0.99  # discount a step
    gae_lambda: float = 0.95

    # Optimisation
    learning_rate: float = 1e-3  # of policy and value
    learning_rate_end: float = 1e-4  # reached linearly at the end of training

    # Networks
    actor_layers: tuple[int, ...] = (64, 64)
    value_layers: tuple[int, ...] = (64, 64)
    activation: Activation = "tanh"
    orthogonal: bool = True  # orthogonal initial weights
    initial_std: float = 0.5  # standard deviation of the untrained policy's actions

    def to_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for ``SharedMDPO(policy, env, ...)``."""
        return _to_kwargs(asdict(self))


def _to_kwargs(fields: dict[str, Any]) -> dict[str, Any]:
    normalize, rates = fields.pop("normalize"), (fields.pop("learning_rate"), fields.pop("learning_rate_end"))
    fields["learning_rate"] = LinearSchedule(*rates, 1.0)
    fields["normalize_rewards"] = normalize
    fields["policy_kwargs"] = {
        "net_arch": {"pi": list(fields.pop("actor_layers")), "vf": list(fields.pop("value_layers"))},
        "activation_fn": ACTIVATIONS[fields.pop("activation")],
        "ortho_init": fields.pop("orthogonal"),
        "log_std_init": math.log(fields.pop("initial_std")),
        "normalize_observations": normalize,
    }
    return fields
