"""Hyperparameters of the learners for teams. The card gives the sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from agentgym.agents.common.activations import Activation
from agentgym.contracts.settings import AgentConfig, Preset, Range, check_settings
from agentgym.errors import InvalidParameter

__all__ = ["HATRPOConfig", "HATRPOQConfig", "MADDPGConfig", "TeamConfig"]

_RANGES = {
    "worlds": Range(1), "log_every": Range(1), "final_rate": Range(0, 1), "gamma": Range(0, 1),
    "learning_rate": Range(0, above=True), "critic_rate": Range(0, above=True), "tau": Range(0, 1, above=True),
    "batch_size": Range(1), "buffer_size": Range(1), "learning_starts": Range(0), "train_every": Range(1),
    "random_share": Range(0, 1), "noise": Range(0), "temperature": Range(0, above=True), "logit_penalty": Range(0),
    "set_units": Range(1), "n_steps": Range(1), "gae_lambda": Range(0, 1), "max_kl": Range(0, above=True),
    "cg_steps": Range(1), "cg_damping": Range(0), "line_search_steps": Range(1),
    "line_search_shrink": Range(0, 1, above=True), "accept_ratio": Range(0, 1), "value_epochs": Range(1),
    "value_batches": Range(1), "value_rate": Range(0, above=True), "huber": Range(0, above=True),
    "initial_std": Range(0, above=True), "q_updates": Range(0), "curvature_every": Range(1),
}  # fmt: skip


@dataclass
class TeamConfig(AgentConfig):
    """Fields that all learners for teams have."""

    # Worlds and reports
    worlds: int = 64  # environments side by side, unless the command says otherwise
    log_every: int = 20_000  # steps between rows of the log

    # Sharing
    shared: bool = True  # one network for all agents, or one for each

    # Optimisation
    final_rate: float = 0.1  # learning rates fall to this share of themselves over the second half of training

    def __post_init__(self) -> None:
        check_settings(self, _RANGES, f"agent {self.agent_name()}")
        for name in ("actor_layers", "critic_layers", "value_layers"):
            if any(units < 1 for units in getattr(self, name, ())):
                raise InvalidParameter(f"{name} of agent {self.agent_name()} needs at least 1 unit in every layer.")


@dataclass
class MADDPGConfig(TeamConfig):
    """Multi-agent deep deterministic policy gradient."""

    # Critic
    critic: Literal["mlp", "set"] = "mlp"  # of everything in a row, or permutation-invariant sums (always shared)
    critic_layers: tuple[int, ...] = (64, 64)  # hidden units of each critic
    set_units: int = 48  # of the networks inside a set critic
    activation: Activation = "silu"  # smooth, so that critics have curvature in their inputs

    # Actor
    actor_layers: tuple[int, ...] = (64, 64)  # hidden units of the actor, layer by layer
    others: Literal["replay", "joint"] = "replay"  # who acts, besides the agent, in the actor's loss: see the card
    temperature: float = 1.0  # of the Gumbel-softmax, discrete actions
    logit_penalty: float = 1e-3  # times the mean square of logits

    # Exploration
    random_share: float = 0.05  # discrete: share of uniformly random actions, besides samples of the policy
    noise: float = 0.1  # Box: standard deviation, where the action space reaches from -1 to 1
    learning_starts: int = 2000  # steps of uniformly random actions before the first update

    # Replay
    buffer_size: int = 300_000  # steps of environments
    batch_size: int = 256  # steps of an update
    train_every: int = 64  # steps of environments for each update

    # Optimisation
    learning_rate: float = 6e-3  # of actors
    critic_rate: float = 6e-3  # learning rate of the critics
    tau: float = 0.02  # of the targets' moving averages
    gamma: float = 0.8  # discount per step

    presets: ClassVar[Mapping[str, Preset]] = {
        "spread-3": Preset("Simple Spread, three agents: the defaults", {}),
        "spread-box-3": Preset("Simple Spread, three agents with Box actions", {"gamma": 0.7}),
        "spread-5": Preset(
            "Simple Spread, five agents",
            {"critic": "set", "actor_layers": (128, 128), "others": "joint", "learning_rate": 3e-3,
             "critic_rate": 3e-3, "batch_size": 128},
        ),
        "own": Preset("networks of their own for all agents", {"shared": False, "gamma": 0.7}),
        "lowe2017": Preset(
            "settings of arXiv:1706.02275, which trains for 25,000 episodes and more",
            {"shared": False, "activation": "relu", "learning_rate": 1e-2, "critic_rate": 1e-2, "tau": 0.01,
             "gamma": 0.95, "batch_size": 1024, "buffer_size": 1_000_000, "train_every": 100, "random_share": 0.0,
             "final_rate": 1.0},
        ),
        "harl": Preset(
            "settings of HARL (arXiv:2304.09870), for continuous actions",
            {"shared": False, "activation": "relu", "actor_layers": (128, 128), "critic_layers": (128, 128),
             "worlds": 20, "learning_rate": 5e-4, "critic_rate": 1e-3, "tau": 0.005, "gamma": 0.99, "batch_size": 1000,
             "buffer_size": 1_000_000, "learning_starts": 10_000, "train_every": 50, "logit_penalty": 0.0,
             "final_rate": 1.0},
        ),
    }  # fmt: skip


@dataclass
class HATRPOConfig(TeamConfig):
    """Heterogeneous-agent trust region policy optimisation."""

    # Collection
    worlds: int = 128  # environments side by side, unless the command says otherwise
    n_steps: int = 25  # steps of each world between updates

    # Returns, of the team: the sum of the rewards of the agents that act
    gamma: float = 0.9  # discount per step
    gae_lambda: float = 0.95  # 0: one-step advantages; 1: whole returns

    # Policies
    shared: bool = False  # False: one after another, as published. True: one policy for all, in one step
    actor_layers: tuple[int, ...] = (64, 64)  # hidden units of the actor, layer by layer
    activation: Activation = "silu"  # of the hidden layers
    initial_std: float = 0.5  # Box: standard deviation of the untrained policy, where the space reaches from -1 to 1
    max_kl: float = 0.02  # trust region of each agent
    cg_steps: int = 10  # conjugate gradient iterations
    curvature_every: int = 4  # the curvature of the KL is that of every so-many-th sample
    cg_damping: float = 0.1  # damping of the Fisher-vector product
    line_search_steps: int = 10  # steps that are tried
    line_search_shrink: float = 0.8  # a step that is not accepted is multiplied by this
    accept_ratio: float = 0.5  # least share of the improvement that the first order promises

    # Value
    value_layers: tuple[int, ...] = (64, 64)  # hidden units of the value network
    value_rate: float = 3e-3  # learning rate of the value
    value_epochs: int = 5  # passes over an iteration's samples for the value
    value_batches: int = 4  # of an epoch
    huber: float = 10.0  # beyond this, in standard deviations of returns, errors count linearly

    presets: ClassVar[Mapping[str, Preset]] = {
        "spread-3": Preset("Simple Spread, three agents: the defaults", {}),
        "harl": Preset(
            "settings of HARL (arXiv:2304.09870) for Simple Spread",
            {"worlds": 20, "n_steps": 200, "gamma": 0.99, "max_kl": 0.005, "activation": "relu",
             "actor_layers": (128, 128), "curvature_every": 1, "value_layers": (128, 128), "value_rate": 5e-4,
             "value_batches": 1, "final_rate": 1.0},
        ),
    }  # fmt: skip


@dataclass
class HATRPOQConfig(TeamConfig):
    """Trust-region steps along the gradient of learned action values, for choices. Not plain HATRPO."""

    # Collection
    worlds: int = 32  # environments side by side, unless the command says otherwise
    n_steps: int = 25  # steps of each world between updates

    # Policies
    actor: Literal["mlp", "set"] = "mlp"  # a set actor needs an environment with agent_sets
    actor_layers: tuple[int, ...] = (64, 64)  # hidden units of the actor, layer by layer
    activation: Activation = "silu"  # of the hidden layers
    max_kl: float = 0.05  # trust region of a step
    cg_steps: int = 10  # conjugate gradient iterations
    curvature_every: int = 8  # the curvature of the KL is that of every so-many-th sample
    cg_damping: float = 0.1  # damping of the Fisher-vector product
    line_search_steps: int = 10  # steps that are tried
    line_search_shrink: float = 0.8  # a step that is not accepted is multiplied by this
    accept_ratio: float = 0.5  # least share of the improvement that the first order promises

    # Critic, from replay
    critic: Literal["mlp", "set"] = "set"  # of everything in a row, or permutation-invariant sums
    critic_layers: tuple[int, ...] = (64, 64)  # hidden units of each critic
    set_units: int = 48  # of the networks inside a set critic
    gamma: float = 0.8  # discount per step
    critic_rate: float = 3e-3  # learning rate of the critics
    tau: float = 0.02  # of the targets' moving averages
    batch_size: int = 256  # steps of an update of the critic
    buffer_size: int = 300_000  # steps of environments
    learning_starts: int = 2000  # steps of uniformly random actions before the first update
    q_updates: int = 12  # of the critic between updates of the policies
    random_share: float = 0.05  # of uniformly random actions, besides samples of the policy

    presets: ClassVar[Mapping[str, Preset]] = {
        "spread-5": Preset("Simple Spread, five agents", {"actor": "set", "batch_size": 128}),
    }
