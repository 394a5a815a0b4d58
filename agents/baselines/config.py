"""Hyperparameters of PPO, TRPO, DQN and QR-DQN. The defaults are those of Stable-Baselines3 and sb3-contrib."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from agentgym.agents.common.activations import ACTIVATIONS, Activation
from agentgym.agents.common.constructor import on_policy_arguments
from agentgym.agents.common.hyperparameters import RULES, Checked, Rule, either, real
from agentgym.contracts.settings import Preset

__all__ = ["DQNConfig", "PPOConfig", "QRDQNConfig", "TRPOConfig"]

ZOO = "RL Baselines3 Zoo's settings for Atari games (version 2.7.0)"
GAMES = {"clip_rewards": True, "terminal_on_life_loss": True}  # what its AtariWrapper does to the learner's rewards


@dataclass
class PPOConfig(Checked):
    """Proximal Policy Optimization."""

    # Collection
    n_steps: int = 2048  # steps per environment and iteration
    bootstrap_time_limits: bool = True  # False: a time limit counts as the end
    normalize: bool = False  # scale observations and rewards to unit variance with running statistics
    clip_rewards: bool = False  # learn from the signs of rewards; scores stay those of the environment
    terminal_on_life_loss: bool = False  # learn as if a lost life ended the episode; the game goes on

    # Optimisation
    learning_rate: float = 3e-4  # of Adam
    anneal_learning_rate: bool = False  # linearly to 0
    n_epochs: int = 10  # passes over the samples of an iteration
    batch_size: int = 64  # samples of an update
    clip_range: float = 0.2  # the ratio of new to old probability is clipped to 1 -+ this
    clip_range_vf: float | None = None  # the same for values, in the values' units
    normalize_advantage: bool = True  # to mean 0 and standard deviation 1 in every batch
    ent_coef: float = 0.0  # weight of the entropy in the loss
    vf_coef: float = 0.5  # weight of the value's error in the loss
    max_grad_norm: float = 0.5  # largest norm of the gradient
    target_kl: float | None = None  # stop the epochs of an iteration when the KL exceeds 1.5 times this

    # Returns
    gamma: float = 0.99  # discount per step
    gae_lambda: float = 0.95  # 0: one-step advantages; 1: whole returns

    # Networks
    actor_layers: tuple[int, ...] = (64, 64)  # hidden units of the actor, layer by layer
    value_layers: tuple[int, ...] = (64, 64)  # hidden units of the value network
    activation: Activation = "tanh"  # of the hidden layers
    orthogonal: bool = True  # orthogonal initial weights

    presets: ClassVar[Mapping[str, Preset]] = {
        "atari": Preset(
            f"{ZOO}, with 8 environments; but the clip range is constant",
            {
                "n_steps": 128, "n_epochs": 4, "batch_size": 256, "learning_rate": 2.5e-4,
                "anneal_learning_rate": True, "clip_range": 0.1, "ent_coef": 0.01, "actor_layers": (),
                "value_layers": (), **GAMES,
            },
        )
    }  # fmt: skip

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
    line_search_shrinking_factor: float = 0.8  # a step that is not accepted is multiplied by this
    line_search_max_iter: int = 10  # steps that are tried
    sub_sampling_factor: int = 1  # the policy step uses every n-th state
    normalize_advantage: bool = True  # to mean 0 and standard deviation 1 in every batch

    # Value
    learning_rate: float = 1e-3  # of the value
    anneal_learning_rate: bool = False  # linearly to 0
    batch_size: int = 128  # samples of an update of the value
    n_critic_updates: int = 10  # passes over an iteration's samples for the value

    # Returns
    gamma: float = 0.99  # discount per step
    gae_lambda: float = 0.95  # 0: one-step advantages; 1: whole returns

    # Networks
    actor_layers: tuple[int, ...] = (64, 64)  # hidden units of the actor, layer by layer
    value_layers: tuple[int, ...] = (64, 64)  # hidden units of the value network
    activation: Activation = "tanh"  # of the hidden layers
    orthogonal: bool = True  # orthogonal initial weights

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`."""
        return on_policy_arguments(vars(self))


@dataclass
class ValueConfig(Checked):
    """What DQN and QR-DQN share."""

    # Optimisation
    learning_rate: float = 1e-4  # of Adam
    batch_size: int = 32  # transitions of an update
    gamma: float = 0.99  # discount per step
    tau: float = 1.0  # step of the target network towards the network at each of its updates
    target_update_interval: int = 10_000  # environment steps between updates of the target network
    max_grad_norm: float | None = 10.0  # largest norm of the gradient

    # Collection
    learning_starts: int = 100  # environment steps with uniformly random actions before the first update
    train_freq: int = 4  # steps of every environment between two rounds of updates
    gradient_steps: int = 1  # updates per round; -1: as many as environment steps since the last round
    buffer_size: int = 1_000_000  # transitions
    n_steps: int = 1  # rewards summed before the bootstrap
    clip_rewards: bool = False  # learn from the signs of rewards; scores stay those of the environment
    terminal_on_life_loss: bool = False  # learn as if a lost life ended the episode; the game goes on

    # Exploration
    exploration_fraction: float = 0.1  # share of the training over which the probability of random actions falls
    exploration_initial_eps: float = 1.0  # probability of random actions at the start
    exploration_final_eps: float = 0.05  # probability of random actions in the end

    # Networks
    value_layers: tuple[int, ...] = (64, 64)  # behind the convolutions, where observations are images
    activation: Activation = "relu"  # of the hidden layers

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`."""
        values = dict(vars(self))
        values["policy_kwargs"] = {
            "net_arch": list(values.pop("value_layers")), "activation_fn": ACTIVATIONS[values.pop("activation")],
        }  # fmt: skip
        return values


@dataclass
class DQNConfig(ValueConfig):
    """Deep Q-Network."""

    max_grad_norm: float = 10.0  # largest norm of the gradient

    presets: ClassVar[Mapping[str, Preset]] = {
        "atari": Preset(
            f"{ZOO}; the replay buffer takes 5.3 GiB",
            {
                "buffer_size": 100_000, "learning_starts": 100_000, "target_update_interval": 1000,
                "exploration_final_eps": 0.01, "value_layers": (), **GAMES,
            },
        )
    }  # fmt: skip


@dataclass
class QRDQNConfig(ValueConfig):
    """Quantile Regression DQN."""

    # Optimisation
    learning_rate: float = 5e-5  # of Adam
    max_grad_norm: float | None = None  # largest norm of the gradient

    # Exploration
    exploration_fraction: float = 0.005  # share of the training over which the probability of random actions falls
    exploration_final_eps: float = 0.01  # probability of random actions in the end

    # Networks
    n_quantiles: int = 200  # of the return, for every action

    presets: ClassVar[Mapping[str, Preset]] = {
        "atari": Preset(
            f"{ZOO}, whose replay buffer of a million transitions takes 52.6 GiB; here 100,000, which take 5.3",
            {
                "buffer_size": 100_000, "learning_starts": 50_000, "exploration_fraction": 0.025,
                "value_layers": (), **GAMES,
            },
        )
    }  # fmt: skip

    rules: ClassVar[Mapping[str, Rule]] = {**RULES, "max_grad_norm": either(real(0, beyond=True), None)}

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`."""
        values = super().arguments()
        values["policy_kwargs"]["n_quantiles"] = values.pop("n_quantiles")
        return values
