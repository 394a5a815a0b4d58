"""Hyperparameters of SAC."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from agentgym.agents.common.activations import ACTIVATIONS, Activation
from agentgym.agents.common.hyperparameters import RULES, Checked, Rule, entropy_target, temperature
from agentgym.agents.common.stack.choice import UpdateBy
from agentgym.contracts.settings import Preset

__all__ = ["SACConfig"]


@dataclass
class SACConfig(Checked):
    """Defaults are Stable-Baselines3's, which are those of Haarnoja et al. (2018), table 1, except learning_starts."""

    # Optimisation
    learning_rate: float = 3e-4  # of actor, critics and temperature
    batch_size: int = 256  # transitions of an update
    gamma: float = 0.99  # discount per step
    tau: float = 0.005  # step of the critics' targets towards the critics at each target update
    target_update_interval: int = 1  # gradient steps between target updates

    # Collection
    learning_starts: int = 100  # environment steps with uniformly random actions before the first update
    train_freq: int = 1  # steps of every environment between two rounds of updates
    gradient_steps: int = 1  # updates per round; -1: as many as environment steps since the last round
    buffer_size: int = 1_000_000  # transitions
    n_steps: int = 1  # rewards summed before the bootstrap

    # Entropy
    ent_coef: str = "auto"  # temperature alpha: a number, "auto", or "auto_0.1" to learn it starting from 0.1
    target_entropy: str = "auto"  # in nats; "auto" is minus the number of action dimensions

    # Networks
    actor_layers: tuple[int, ...] = (256, 256)  # hidden units of the actor, layer by layer
    critic_layers: tuple[int, ...] = (256, 256)  # hidden units of each critic
    n_critics: int = 2  # the minimum of their values is used
    activation: Activation = "relu"  # of the hidden layers

    # Speed on a CPU
    update_by: UpdateBy = "auto"  # stack: passes written out, for ReLU and Adam; autograd; auto: the first where it can

    # Speed on a GPU (on a CPU both are slower or impossible)
    compile: bool = False  # apply torch.compile to the networks
    cuda_graphs: bool = False  # record the update once, then replay it

    presets: ClassVar[Mapping[str, Preset]] = {
        "mujoco": Preset("RL Baselines3 Zoo's settings for the MuJoCo tasks", {"learning_starts": 10_000}),
    }
    rules: ClassVar[Mapping[str, Rule]] = {**RULES, "ent_coef": temperature, "target_entropy": entropy_target}

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`."""
        arguments = vars(self).copy()
        layers = {"pi": list(arguments.pop("actor_layers")), "qf": list(arguments.pop("critic_layers"))}
        arguments["policy_kwargs"] = {
            "net_arch": layers,
            "n_critics": arguments.pop("n_critics"),
            "activation_fn": ACTIVATIONS[arguments.pop("activation")],
        }
        return arguments
