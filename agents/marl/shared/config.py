"""Hyperparameters of the agents with shared parameters. The card gives the sources."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from agentgym.agents.common.activations import Activation
from agentgym.agents.common.constructor import on_policy_arguments
from agentgym.agents.common.hyperparameters import Checked

__all__ = ["SharedMDPOConfig", "SharedPPOConfig"]


@dataclass
class SharedPPOConfig(Checked):
    """Proximal Policy Optimization; a sample is one step of one agent."""

    # Sharing
    mirror: bool = True  # make the policy equivariant to the environment's reflection, if it has one

    # Collection
    n_steps: int = 25  # steps per world and iteration
    bootstrap_time_limits: bool = True  # False: a time limit counts as the end
    normalize: bool = False  # scale observations and rewards to unit variance; not together with mirror

    # Optimisation
    learning_rate: float = 1e-3
    learning_rate_end: float = 1e-4  # reached linearly at the end of training
    n_epochs: int = 10
    batch_size: int = 1000  # samples
    clip_range: float = 0.2  # the ratio of new to old probability is clipped to 1 -+ this
    normalize_advantage: bool = True
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5

    # Returns
    gamma: float = 0.99  # discount per step
    gae_lambda: float = 0.95

    # Networks
    actor_layers: tuple[int, ...] = (64, 64)
    value_layers: tuple[int, ...] = (64, 64)
    activation: Activation = "tanh"
    orthogonal: bool = True  # orthogonal initial weights
    initial_std: float = 0.5  # standard deviation of the untrained policy's actions

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`, for the learner."""
        return _arguments(vars(self))


@dataclass
class SharedMDPOConfig(Checked):
    """On-policy Mirror Descent Policy Optimization; a sample is one step of one agent."""

    # Sharing
    mirror: bool = True  # make the policy equivariant to the environment's reflection, if it has one

    # Collection
    n_steps: int = 25  # steps per world and iteration
    bootstrap_time_limits: bool = True  # False: a time limit counts as the end
    normalize: bool = False  # scale observations and rewards to unit variance; not together with mirror

    # Policy
    policy_steps: int = 40  # m, gradient steps per iteration, each on all samples
    divergence: Literal["new||old", "old||new"] = "new||old"  # direction of the KL
    tsallis_q: float = 1.0  # 1: KL; up to 2: the Bregman divergence of Tsallis entropy
    max_grad_norm: float = 0.5

    # Value
    value_epochs: int = 10
    value_batch_size: int = 1000  # samples
    clip_values: bool = False  # keep new values within 0.2 t_k of the old
    gamma: float = 0.99  # discount per step
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

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`, for the learner."""
        arguments = _arguments(vars(self))
        arguments["clip_range_vf"] = 0.2 if arguments.pop("clip_values") else None
        return arguments


def _arguments(fields: dict[str, Any]) -> dict[str, Any]:
    arguments = on_policy_arguments({name: value for name, value in fields.items() if name != "mirror"})
    arguments["policy_kwargs"]["log_std_init"] = math.log(arguments.pop("initial_std"))
    return arguments
