"""Settings of perturbations of the reward. processes.py implements them.

The true reward stays in ``info["true_reward"]``.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from agentgym.envs.perturb.base import MOST_LATE, SignalPerturbation, check_number, check_whole
from agentgym.envs.perturb.processes import Delay, Flip, Noise, Process
from agentgym.envs.perturb.signal import Signal

__all__ = ["RewardDelay", "RewardNoise", "RewardSignFlip"]


@dataclass(frozen=True)
class RewardPerturbation(SignalPerturbation):
    """Base of effects on the reward."""

    changes: ClassVar[Literal["reward"]] = "reward"


@dataclass(frozen=True)
class RewardNoise(RewardPerturbation):
    """Gaussian noise: r + std ξ.

    Args:
        std: standard deviation, in the reward's units.
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "std", 0.0, 1e300)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        return Noise(signal, worlds, np.asarray(self.std))


@dataclass(frozen=True)
class RewardDelay(RewardPerturbation):
    """The reward of ``steps`` steps ago, 0 before there is one. The last ``steps`` rewards of an episode are lost.

    Args:
        steps: delay in steps.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self, "steps", 0, MOST_LATE)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        return Delay(signal, worlds, self.steps, first=False)


@dataclass(frozen=True)
class RewardSignFlip(RewardPerturbation):
    """The reward with the wrong sign, -r.

    Args:
        probability: probability that a step's reward is flipped.
    """

    probability: float = 0.1

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        return Flip()
