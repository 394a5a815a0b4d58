"""Hyperparameters of PPO and TRPO. The defaults are those of Stable-Baselines3 and sb3-contrib."""

from dataclasses import dataclass
from typing import Any

from agentgym.agents.common.activations import Activation
from agentgym.agents.common.constructor import on_policy_arguments
from agentgym.agents.common.hyperparameters import Checked

__all__ = ["PPOConfig", "TRPOConfig"]


@dataclass
class PPOConfig(Checked):
    """Proximal Policy Optimization."""

    # Collection
    n_steps: int = 2048  # steps per environment and iteration
    bootstrap_time_limits: bool = True  # False: a time limit counts as the end
    normalize: bool = False  # scale observations and rewards to unit variance with running statistics

    # Optimisation
    learning_rate: float = 3e-4
    anneal_learning_rate: bool = False  # linearly to 0
    n_epochs: int = 10
    batch_size: int = 64
    clip_range: float = 0.2  # the ratio of new to old probability is clipped to 1 -+ this
    clip_range_vf: float | None = None  # the same for values, in the values' units
    normalize_advantage: bool = True
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    target_kl: float | None = None  # stop the epochs of an iteration when the KL exceeds 1.5 times this

    # Returns
    gamma: float = 0.99  # discount per step
    gae_lambda: float = 0.95

    # Networks
    actor_layers: tuple[int, ...] = (64, 64)
    value_layers: tuple[int, ...] = (64, 64)
    activation: Activation = "tanh"
    orthogonal: bool = True  # orthogonal initial weights

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`."""
        return on_policy_arguments(vars(self))


@dataclass
class TRPOConfig(Checked):
    """Trust Region Policy Optimization."""

    # Collection
    n_steps: int = 2048  # steps per environment and iteration
    bootstrap_time_limits: bool = True  # False: a time limit counts as the end
    normalize: bool = False  # scale observations and rewards to unit variance with running statistics

    # Policy
    target_kl: float = 0.01  # size of the trust region
    cg_max_steps: int = 15  # conjugate gradient iterations
    cg_damping: float = 0.1  # damping of the Fisher-vector product
    line_search_shrinking_factor: float = 0.8
    line_search_max_iter: int = 10
    sub_sampling_factor: int = 1  # the policy step uses every n-th state
    normalize_advantage: bool = True

    # Value
    learning_rate: float = 1e-3
    anneal_learning_rate: bool = False  # linearly to 0
    batch_size: int = 128
    n_critic_updates: int = 10

    # Returns
    gamma: float = 0.99  # discount per step
    gae_lambda: float = 0.95

    # Networks
    actor_layers: tuple[int, ...] = (64, 64)
    value_layers: tuple[int, ...] = (64, 64)
    activation: Activation = "tanh"
    orthogonal: bool = True  # orthogonal initial weights

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`."""
        return on_policy_arguments(vars(self))
