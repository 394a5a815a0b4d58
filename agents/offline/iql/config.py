"""Settings of IQL. The card gives the sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agentgym.agents.common.stack.choice import UpdateBy
from agentgym.agents.offline.config import OfflineConfig
from agentgym.contracts.settings import Preset

__all__ = ["IQLConfig"]


@dataclass
class IQLConfig(OfflineConfig):
    """The authors' settings on MuJoCo locomotion."""

    # Values
    expectile: float = 0.7  # the paper's tau: 0.5 is the mean over the data, towards 1 the best action in the data
    gamma: float = 0.99  # discount per step
    tau: float = 0.005  # step of Q's target towards Q at each update

    # Policy
    beta: float = 3.0  # inverse temperature of exp(beta (Q - V)); 0 is behaviour cloning
    max_weight: float = 100.0  # upper bound of that weight
    cosine: bool = True  # anneal the policy's learning rate to 0 with half a cosine
    schedule_steps: int = 0  # gradient steps of the annealing; 0: the argument of learn()

    # Data
    return_range: float = 1000.0  # scale rewards so that the data's returns have this range; 0: no scaling
    reward_scale: float = 1.0  # after that, the agent learns from scale * r + shift
    reward_shift: float = 0.0  # added to every reward after scaling
    normalize_observations: bool = False  # with the data's mean and standard deviation

    # Networks
    layers: tuple[int, ...] = (256, 256)  # of Q, V and the policy

    # Speed on a CPU
    update_by: UpdateBy = "auto"  # stack: passes written out; autograd; auto: the first where it can

    presets: ClassVar[Mapping[str, Preset]] = {
        "antmaze": Preset(
            "the authors' settings for AntMaze, with rewards 0 and 1 (antmaze_config.py)",
            {"expectile": 0.9, "beta": 10.0, "return_range": 0.0, "reward_shift": -1.0},
        ),
    }
