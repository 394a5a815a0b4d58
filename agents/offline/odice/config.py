"""Settings of ODICE. The card gives the sources."""

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
    """The released settings for MuJoCo locomotion, except the policy's weights, which are the paper's."""

    # Values
    lambda_f: float = 0.6  # lambda, weight of f*(residual) against V; towards 1 V is higher and the policy greedier
    eta: float = 1.0  # weight of the backward gradient, only with "orthogonal"; 0 gives "semi"
    gradient: Gradient = "orthogonal"  # what of the gradient by V(s') is followed: see the card
    gamma: float = 0.99  # discount per step
    tau: float = 0.005  # step of V's target towards V at each update

    # Policy
    weights: WeightForm = "chi2"  # "chi2" is the paper's max(e / 2 + 1, 0), "released" the code's max(e, 0)
    max_weight: float = 100.0  # upper bound of the weight

    # Data
    return_range: float = 1000.0  # scale rewards so that the data's returns have this range; 0: no scaling
    reward_scale: float = 1.0  # after that, the agent learns from scale * r + shift
    reward_shift: float = 0.0  # added to every reward after scaling
    normalize_observations: bool = False  # with the data's mean and standard deviation

    # Networks
    value_layers: tuple[int, ...] = (256, 256)  # hidden units of the value network
    value_members: int = 2  # networks V_i; the target uses their minimum
    layer_norm: bool = True  # in V, before each ReLU
    policy_layers: tuple[int, ...] = (1024, 1024)  # most of the cost of a step on a CPU; see the preset "small"
    bounded_mean: bool = False  # apply a tanh to the policy's mean

    # Optimisation
    learning_rate: float = 2e-4  # of policy and value
    weight_decay: float = 1e-4  # of the policy, added to the gradient as in Adam

    presets: ClassVar[Mapping[str, Preset]] = {
        "antmaze": Preset("AntMaze umaze, medium-play and medium-diverse: rewards 0 and 1 become -3 and 0", ANTMAZE),
        "antmaze-single": Preset(
            "AntMaze large and umaze-diverse: the same with one V", ANTMAZE | {"value_members": 1}
        ),
        "small": Preset(
            "not from the paper: a policy as small as the other agents', for CPUs", {"policy_layers": (256, 256)}
        ),
    }
