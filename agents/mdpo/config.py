"""Hyperparameters of MDPO, off-policy and on-policy. The card gives the sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from agentgym.agents.common.activations import ACTIVATIONS, Activation
from agentgym.agents.common.constructor import on_policy_arguments
from agentgym.agents.common.hyperparameters import RULES, Checked, Rule, whole
from agentgym.agents.common.stack.choice import UpdateBy
from agentgym.contracts.settings import Preset

__all__ = ["MDPOConfig", "OnPolicyMDPOConfig"]


@dataclass
class MDPOConfig(Checked):
    """Off-policy MDPO. The defaults are the paper's settings for MuJoCo with the Kullback-Leibler divergence."""

    # Optimisation
    learning_rate: float = 3e-4  # of actor, critics and value
    batch_size: int = 256  # transitions of an update
    gamma: float = 0.99  # discount per step
    tau: float = 0.005  # step of V's target towards V at each update

    # Collection
    learning_starts: int = 10_000  # environment steps with uniformly random actions before the first update
    train_freq: int = 1  # steps of every environment between two rounds of updates
    gradient_steps: int = 1  # updates per round; -1: as many as environment steps since the last round
    buffer_size: int = 1_000_000  # transitions
    deterministic_collection: bool = False  # act with the policy's mode, as the released code does

    # Mirror descent
    step_size: float = 1.0  # t; the divergence from the old policy has the weight 1 / t
    ent_coef: float = 0.2  # lambda, the weight of the entropy; t = 1 / lambda gives SAC's loss
    snapshot_interval: int = 1_000  # environment steps between two copies of the policy to the old policy
    tsallis_q: float = 1.0  # 1: entropy and KL; up to 2: Tsallis entropy and its Bregman divergence
    regularization: float = 0.0  # weight of mean(mu^2) + mean(log_std^2); 1e-3 in the released code

    # Networks
    actor_layers: tuple[int, ...] = (256, 256)  # hidden units of the actor, layer by layer
    critic_layers: tuple[int, ...] = (256, 256)  # of Q and of V
    activation: Activation = "relu"  # of the hidden layers

    # Speed on a CPU
    update_by: UpdateBy = "auto"  # stack: passes written out, for ReLU and Adam; autograd; auto: the first where it can

    # Speed on a GPU (on a CPU both are slower or impossible)
    compile: bool = False  # apply torch.compile to the networks
    cuda_graphs: bool = False  # record the update once, then replay it

    presets: ClassVar[Mapping[str, Preset]] = {
        "minimal": Preset(
            "the paper's small setting", {"batch_size": 64, "actor_layers": (64, 64), "critic_layers": (64, 64)}
        ),
        "as-released": Preset(
            "the released code where it differs from the paper: acts with the mode, regularises mean and deviation",
            {"deterministic_collection": True, "regularization": 1e-3},
        ),
    }

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`."""
        arguments = vars(self).copy()
        layers = {"pi": list(arguments.pop("actor_layers")), "qf": list(arguments.pop("critic_layers"))}
        arguments["policy_kwargs"] = {
            "net_arch": layers,
            "activation_fn": ACTIVATIONS[arguments.pop("activation")],
        }
        return arguments


@dataclass
class OnPolicyMDPOConfig(Checked):
    """On-policy MDPO. The defaults are the paper's "loaded" version, with proper treatment of time limits."""

    # Collection
    n_steps: int = 2048  # steps per environment and iteration
    bootstrap_time_limits: bool = True  # False: truncation counts as termination, as in the released code
    normalize: bool = True  # scale observations and rewards to unit variance with running statistics

    # Policy
    policy_steps: int = 10  # m, gradient steps per iteration, each on the whole batch
    divergence: Literal["new||old", "old||new"] = "new||old"  # direction of the KL
    tsallis_q: float = 1.0  # 1: KL; up to 2: the Bregman divergence of Tsallis entropy
    max_grad_norm: float = 0.5  # largest norm of the gradient

    # Value
    value_epochs: int = 5  # passes over an iteration's samples for the value
    value_batch_size: int = 128  # samples of an update of the value
    clip_values: bool = True  # keep new values within 0.2 t_k of the old
    gamma: float = 0.99  # discount per step
    gae_lambda: float = 0.95  # 0: one-step advantages; 1: whole returns

    # Optimisation
    learning_rate: float = 3e-4  # of policy and value
    anneal_learning_rate: bool = True  # to 0, proportionally to t_k

    # Networks
    actor_layers: tuple[int, ...] = (64, 64)  # hidden units of the actor, layer by layer
    value_layers: tuple[int, ...] = (64, 64)  # hidden units of the value network
    activation: Activation = "tanh"  # of the hidden layers
    orthogonal: bool = True  # orthogonal initial weights

    rules: ClassVar[Mapping[str, Rule]] = {**RULES, "n_steps": whole(2)}  # normalising advantages needs two steps

    presets: ClassVar[Mapping[str, Preset]] = {
        "minimal": Preset(
            'the paper\'s version without the extras that make it "loaded"',
            {"normalize": False, "clip_values": False, "orthogonal": False, "anneal_learning_rate": False},
        ),
        "as-released": Preset(
            "the released code's time limits: truncation counts as termination",
            {"bootstrap_time_limits": False},
        ),
        "small-budget": Preset(
            "for tens of thousands of steps: as many gradient steps as PPO (studies/mdpo_small_budget.toml)",
            {"policy_steps": 300, "anneal_learning_rate": False},
        ),
    }

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`."""
        arguments = on_policy_arguments(vars(self))
        arguments["clip_range_vf"] = 0.2 if arguments.pop("clip_values") else None
        return arguments
