"""ODICE's settings. Sources are in the card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from agentgym.agents.offline.config import OfflineConfig
from agentgym.contracts.settings import Preset

__all__ = ["Gradient", "ODICEConfig", "WeightForm"]

Gradient = Literal["orthogonal", "true", "semi"]
WeightForm = Literal["released", "chi2"]

ANTMAZE: dict[str, Any] = {
    "return_range": 0.0, "reward_scale": 3.0, "reward_shift": -3.0, "layer_norm": False, "weights": "released",
}  # fmt: skip


@dataclass
class ODICEConfig(OfflineConfig):
    """The released settings on MuJoCo locomotion, but for the policy's weights, which are the paper's."""

    # Values
    lambda_f: float = 0.6  # lambda: weighs f*(residual) against V itself; towards 1 V is higher, the policy greedier
    eta: float = 1.0  # weighs the backward gradient, with "orthogonal" alone; 0 gives "semi"
    gradient: Gradient = "orthogonal"
    gamma: float = 0.99  # discount a step
    tau: float = 0.005  # share of V that moves into its target at each update

    # Policy
    weights: WeightForm = "chi2"  # the paper's max(e / 2 + 1, 0); "released" is the code's max(e, 0), see the card
    max_weight: float = 100.0  # where the weight is cut

    # Data
    return_range: float = 1000.0  # rewards are scaled so that the data's returns span this; 0: they are not
    reward_scale: float = 1.0  # after that, the agent learns from scale * r + shift
    reward_shift: float = 0.0
    normalize_observations: bool = False  # by the data's mean and standard deviation

    # Networks
    value_layers: tuple[int, ...] = (256, 256)
    value_members: int = 2  # networks V_i; their least value is the target
    layer_norm: bool = True  # in V, before each ReLU
    policy_layers: tuple[int, ...] = (1024, 1024)  # most of a step's cost on a CPU; see the preset "small"
    bounded_mean: bool = False  # take the policy's mean through a tanh

    # Optimisation
    learning_rate: float = 2e-4
    weight_decay: float = 1e-4  # of the policy, added to its gradient as Adam's

    presets: ClassVar[Mapping[str, Preset]] = {
        "antmaze": Preset("AntMaze umaze, medium-play and medium-diverse: rewards 0 and 1 become -3 and 0", ANTMAZE),
        "antmaze-single": Preset(
            "AntMaze large and umaze-diverse: the same with one V", ANTMAZE | {"value_members": 1}
        ),
        "small": Preset(
            "not the paper's: a policy of the size that the other agents have, for a CPU", {"policy_layers": (256, 256)}
        ),
    }
