"""Settings of perturbations of the action. processes.py implements them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from typing_extensions import override

from agentgym.envs.perturb.base import (
    MOST_LATE,
    Numbers,
    SignalPerturbation,
    check_choice,
    check_number,
    check_numbers,
    check_whole,
    needs_numbers,
    scaled,
)
from agentgym.envs.perturb.processes import Delay, Drift, Hold, Mix, Noise, Policy, Process, Swell
from agentgym.envs.perturb.signal import Signal
from agentgym.errors import InvalidParameter

__all__ = [
    "ActionDelay",
    "ActionGainDrift",
    "ActionMixture",
    "ActionNoise",
    "StickyAction",
    "TimeCorrelatedActionNoise",
]

_ANY_SPACE = "StickyAction and ActionDelay"


@dataclass(frozen=True)
class ActionPerturbation(SignalPerturbation):
    """Base of effects on the action. Results are clipped to the action space.

    ``info["perturbed_clipped"]`` reports when.
    """

    changes: ClassVar[Literal["action"]] = "action"


@dataclass(frozen=True)
class ActionNoise(ActionPerturbation):
    """Gaussian noise: a + std scale ξ, clipped to the action space.

    Args:
        std: standard deviation, one number or one per dimension, in the action's units or in units of ``scale``.
        scale: the unit of each dimension, or "half_range": half the distance between its bounds.
    """

    std: Numbers = 0.1
    scale: Numbers | Literal["half_range"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_noise(self)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        needs_numbers(self, signal, _ANY_SPACE)
        return Noise(signal, worlds, scaled(self, "std", signal))


@dataclass(frozen=True)
class TimeCorrelatedActionNoise(ActionPerturbation):
    """Gaussian noise of varying size: a + std scale (1 - exp(-0.01 t)) sin(t) ξ, clipped to the action space.

    This is the noise of the stochastic MuJoCo tasks of Yang et al., "Dichotomy of Control" (arXiv 2210.13435), where
    std is called σ and ranges from 0 to 1. The paper leaves some details open; this implementation makes these choices:

    - The factor of ξ is negative for half of the time. Since ξ is symmetric, only its magnitude matters.
    - t counts the steps of the episode from 0, so the first action is not perturbed, and is in radians: the noise
      vanishes about every three steps, and reaches full size after about 300.
    - Only the magnitude is correlated in time: ξ is drawn independently for every step and dimension, so the noise of
      one step contains no information about the sign of the next.
    - std is in the units of the action. With ``scale="half_range"`` it is in half ranges, which is the same for actions
      in [-1, 1].

    Args:
        std: standard deviation at full size, one number or one per dimension.
        scale: the unit of each dimension, or "half_range": half the distance between its bounds.
    """

    std: Numbers = 0.5
    scale: Numbers | Literal["half_range"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_noise(self)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        needs_numbers(self, signal, _ANY_SPACE)
        return Swell(signal, worlds, scaled(self, "std", signal))


@dataclass(frozen=True)
class ActionDelay(ActionPerturbation):
    """Executes the action of ``steps`` steps ago; before there is one, the action nearest to zero.

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
class StickyAction(ActionPerturbation):
    """Repeats the action executed last (Machado et al. 2018, section 5.2).

    The first action of an episode is never replaced.

    Args:
        probability: probability that the last action is repeated; 0.25 in the paper.
        duration: for how many steps it is then repeated.
    """

    probability: float = 0.25
    duration: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self, "duration", 1)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        return Hold(signal, worlds, self.duration)


@dataclass(frozen=True)
class ActionGainDrift(ActionPerturbation):
    """A wearing actuator: g a, with g = 1 at first and g <- clip(g + rate + std ξ, low, high) at every step.

    Each dimension has its own gain. The product is clipped to the action space.

    Args:
        std: standard deviation of the gain's change per step.
        rate: mean change of the gain per step; negative if it weakens.
        low: lower bound of the gain.
        high: upper bound of the gain.
    """

    std: float = 0.01
    rate: float = 0.0
    low: float = 0.5
    high: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "std", 0.0, 1e6)
        check_number(self, "rate", -1e6, 1e6)
        check_number(self, "low", -1e6, 1.0)
        check_number(self, "high", 1.0, 1e6)

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        needs_numbers(self, signal, _ANY_SPACE)
        return Drift(signal, worlds, self.std, self.rate, (self.low, self.high))


@dataclass(frozen=True)
class ActionMixture(ActionPerturbation):
    """A mixture of the agent's action and another policy's: (1 - w) a + w a'.

    This is the noisy action robust MDP of Tessler et al. (2019), which RRLS (Zouitine et al. 2024) provides as a
    wrapper.

    Discrete actions cannot be averaged, so a' replaces a with probability w. This is the
    probabilistic action robust MDP of the same paper.

    Args:
        policy: "random" (uniform over the action space), "zero" (the action nearest to zero), or a function
            ``observations [M, ...] -> actions [M, ...]`` that treats each row independently. It receives the
            observation at this effect's position in the stack, which is the true one if the effect comes first.
        weight: w, from 0 to 1.
    """

    policy: Literal["random", "zero"] | Policy = "random"
    weight: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "weight", 0.0, 1.0)
        if not callable(self.policy):
            check_choice(self, "policy", ("random", "zero"), "or a function from observations to actions")

    @override
    def process(self, signal: Signal, worlds: int) -> Process:
        if signal.kind == "object":
            raise InvalidParameter(
                f"ActionMixture needs Box or (Multi)Discrete actions; here it meets the {signal.name}. "
                f"{_ANY_SPACE} support any space."
            )
        return Mix(signal, worlds, self.weight, self.policy)


def _check_noise(owner: ActionNoise | TimeCorrelatedActionNoise) -> None:
    check_numbers(owner, "std", 0.0)
    if isinstance(owner.scale, str):
        check_choice(owner, "scale", ("half_range",), "or a number, or one per dimension")
    elif owner.scale is not None:
        check_numbers(owner, "scale", 0.0)
