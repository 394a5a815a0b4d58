"""Hyperparameters of the agents that learn against an adversary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from agentgym.agents.common.activations import ACTIVATIONS, Activation
from agentgym.agents.common.hyperparameters import RULES, Checked, Rule, real, whole
from agentgym.contracts.settings import Preset

__all__ = ["GameConfig", "M2TD3Config", "RARLConfig", "TimeConstrainedConfig"]


def names(value: Any) -> str:
    """Names of parameters."""
    good = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    return "" if good and len({*value}) == len(value) else "a tuple of names, each once"


@dataclass
class GameConfig(Checked):
    """The settings of TD3 in a game with nature. Noise is in units of actions in [-1, 1]."""

    # Uncertainty
    uncertain: tuple[str, ...] = ()  # the parameters that the adversary chooses; by default the environment's whole set

    # Optimisation
    learning_rate: float = 3e-4  # of actor, critics and adversary
    batch_size: int = 100  # transitions of an update
    gamma: float = 0.99  # discount per step
    tau: float = 0.005  # step of the targets towards the networks at each update of the actor
    policy_delay: int = 2  # updates of the critics per update of actor, adversary and targets
    target_noise: float = 0.2  # standard deviation of the noise on the targets' actions and parameters
    noise_clip: float = 0.5  # bound of that noise

    # Collection
    exploration: float = 0.1  # standard deviation of the noise on the agent's actions
    learning_starts: int = 1_000  # environment steps with random actions and parameters before the first update
    train_freq: int = 1  # steps of every environment between two rounds of updates
    gradient_steps: int = 1  # updates per round; -1: as many as environment steps since the last round
    buffer_size: int = 1_000_000  # transitions

    # Networks
    actor_layers: tuple[int, ...] = (256, 256)  # hidden units of the actor, layer by layer
    critic_layers: tuple[int, ...] = (256, 256)  # hidden units of each critic
    activation: Activation = "relu"  # of the hidden layers

    rules: ClassVar[Mapping[str, Rule]] = {
        **RULES,
        "uncertain": names,
        "policy_delay": whole(1),
        "target_noise": real(0),
        "noise_clip": real(0),
        "exploration": real(0),
        "adversary_exploration": real(0),
        "candidates": whole(1),
        "parameter_noise": real(0),
        "parameter_noise_end": real(0),
        "least_distance": real(0),
        "least_frequency": real(0, 1),
        "agent_updates": whole(1),
        "adversary_updates": whole(1),
        "adversary_layers": RULES["actor_layers"],
        "radius": real(0, beyond=True),
        "price": real(0),
    }

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`."""
        arguments = vars(self).copy()
        layers = {"pi": list(arguments.pop("actor_layers")), "qf": list(arguments.pop("critic_layers"))}
        if "adversary_layers" in arguments:
            layers["adversary"] = list(arguments.pop("adversary_layers"))
        activation = ACTIVATIONS[arguments.pop("activation")]
        arguments["policy_kwargs"] = {"net_arch": layers, "activation_fn": activation}
        return {**arguments, "ranges": None}  # the uncertainty set, which a saved agent keeps


_PAPER = {"learning_starts": 100_000}


@dataclass
class M2TD3Config(GameConfig):
    """Tanabe et al. (2022), as released (repository akimotolab/M2TD3), except learning_starts."""

    # Adversary
    candidates: int = 5  # worst-case candidates, K
    parameter_noise: float = 1.0  # standard deviation of an episode's parameters around a candidate, in half ranges
    parameter_noise_end: float = 0.1  # what it falls to, linearly, at the end of training
    least_distance: float = 0.1  # of two candidates (L1, in the parameters' units); one nearer than that is drawn anew
    least_frequency: float = 0.05  # of being the worst; a candidate below is drawn anew

    presets: ClassVar[Mapping[str, Preset]] = {
        "tanabe2022": Preset("Tanabe et al. (2022), released settings", _PAPER),
    }


@dataclass
class RARLConfig(GameConfig):
    """Pinto et al. (2017), with TD3's update for both players."""

    # Adversary
    agent_updates: int = 1  # updates of the agent's policy before it is the adversary's turn
    adversary_updates: int = 1  # updates of the adversary's policy before it is the agent's turn
    adversary_exploration: float = 0.1  # standard deviation of the noise on the adversary's actions
    adversary_layers: tuple[int, ...] = (256, 256)  # hidden units of the adversary
    price: float = 0.0  # of the adversary's action w in [-1, 1]: price * |w|^2 is added to the reward (H-infinity)

    presets: ClassVar[Mapping[str, Preset]] = {
        "tanabe2022": Preset("the start of M2TD3's experiments, in which RARL is a baseline", _PAPER),
    }


@dataclass
class TimeConstrainedConfig(RARLConfig):
    """Zouitine et al. (2024), TC-RMDP: an adversary that moves parameters by small steps."""

    radius: float = 0.001  # most that each parameter moves in a step, in its own unit

    presets: ClassVar[Mapping[str, Preset]] = {
        "zouitine2024": Preset("Zouitine et al. (2024), training of TC-RMDP", {"radius": 0.001, **_PAPER}),
    }
