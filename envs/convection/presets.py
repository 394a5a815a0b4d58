"""Settings of a convection cell, and presets with their sources."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch

from agentgym.contracts.settings import Range, check_settings
from agentgym.envs.convection.solver import Fluid, Resolution
from agentgym.errors import InvalidParameter, UnknownId

__all__ = ["PRESETS", "Cell", "Nusselt", "ResidualBase", "Start", "cell"]

Nusselt = Literal["volume", "plates", "vignon2023"]
Precision = Literal["float32", "float64"]
Start = Literal["two-pair", "one-pair", "random", "mixed"]
# Controllers without internal state that treat all heaters alike (controllers.py)
ResidualBase = Literal["zero", "proportional-middle", "proportional-low", "proportional-low-T"]

MOST_STEPS = 100_000  # solver steps per action

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Cell:
    """Settings of a convection cell. Lengths are in half heights of the published box, times in free-fall times.

    Attributes: see the comments; each is a keyword argument of the environments.
    """

    # Fluid and box
    rayleigh: float = 8e4  # the usual definition, based on the height
    prandtl: float = 0.7
    height: float = 2.0
    length: float = 2 * math.pi  # periodic

    # Numerics
    columns: int = 48  # X; wavenumbers below X / 3 are resolved
    points: int = 33  # Z, Chebyshev points from plate to plate
    time_step: float = 0.075
    precision: Precision = "float32"

    # Heaters
    heaters: int = 10  # A, side by side along the bottom plate
    amplitude: float = 0.75  # maximum deviation from the plate's mean, in temperature differences of the plates
    joint: float = 0.1  # half width of the transition between neighbours
    action_time: float = 1.5  # duration of an action
    actions: int = 200  # actions per episode

    # Faults of heaters
    dead: int = 0  # number of heaters whose command counts as 0; they are drawn for each episode
    stuck: int = 0  # number of heaters that hold one command throughout; both are drawn for each episode
    lag: float = 0.0  # time constant with which heaters follow their commands

    # Actions are corrections of this controller's commands; with "zero" they are the commands
    residual_on: ResidualBase = "zero"

    # Sensors: u, w, T at `heights` above every heater
    heights: tuple[float, ...] = (-0.75, -0.375, 0.0, 0.375, 0.75)  # in half heights
    columns_per_heater: int = 1
    window: int = 0  # heaters that an agent observes, centred on its own; 0: all
    averaged_steps: int = 1  # observations are means over this many solver steps
    temperature_offset: float = 0.0  # T is observed as 2 (T - offset), with T relative to the mean of the plates

    # Reward: scale (offset - Nusselt number)
    nusselt: Nusselt = "volume"
    local_weight: float = 0.0  # weight of the heater's own Nusselt number in an agent's reward
    reward_offset: float = 4.5
    reward_scale: float = 0.1

    # Episodes
    start: Start = "two-pair"  # "mixed": two pairs or one pair, equally likely
    carry_on: float = 0.0  # probability that an episode continues from the end of the last one
    noise: float = 0.02  # standard deviation of the temperature noise at the start

    def __post_init__(self) -> None:
        Fluid(self.rayleigh, self.prandtl, self.height, self.length)
        check_settings(self, _RANGES, "a convection cell")
        if not self.heights or any(abs(height) >= 1 for height in self.heights):
            raise InvalidParameter(f"heights are {self.heights}; they must lie between -1 and 1, plates excluded.")
        self._check_together()

    def _check_together(self) -> None:
        """Check constraints between settings."""
        if not 0.01 <= self.length / self.height <= 1000:
            raise InvalidParameter(f"length is {self.length}; it must be 0.01 to 1000 times the height, {self.height}.")
        if self.dead + self.stuck > self.heaters or self.window > self.heaters:
            raise InvalidParameter(f"dead + stuck, and window, can be at most the number of heaters, {self.heaters}.")
        ratio = self.action_time / self.time_step
        if not 0.5 < ratio < MOST_STEPS or abs(ratio - self.steps_per_action) > 1e-6:
            raise InvalidParameter(
                f"action_time {self.action_time} is no multiple of time_step {self.time_step}, from 1 to {MOST_STEPS}."
            )
        if self.averaged_steps > self.steps_per_action:
            raise InvalidParameter(f"averaged_steps is {self.averaged_steps}; an action has {self.steps_per_action}.")

    @property
    def fluid(self) -> Fluid:
        """The fluid and its box."""
        return Fluid(self.rayleigh, self.prandtl, self.height, self.length)

    def resolution(self, device: torch.device) -> Resolution:
        """The grid and time step of the solver."""
        return Resolution(self.columns, self.points, self.time_step, DTYPES[self.precision], device)

    @property
    def steps_per_action(self) -> int:
        """The number of solver steps per action."""
        return round(self.action_time / self.time_step)

    @property
    def seen_heaters(self) -> int:
        """The number of heaters in an agent's window."""
        return self.window or self.heaters


# Ranges of the settings; the widest bounds only exclude overflow.
_RANGES = {
    "rayleigh": Range(1e-3, 1e12), "prandtl": Range(1e-4, 1e4), "height": Range(1e-3, 1e3), "length": Range(1e-5, 1e6),
    "columns": Range(6, 4096), "points": Range(8, 513), "time_step": Range(1e-9, 1e6),
    "heaters": Range(1, 1024), "amplitude": Range(0, 1e6), "joint": Range(0, 1e6), "action_time": Range(1e-9, 1e9),
    "actions": Range(1, 1e6), "dead": Range(0), "stuck": Range(0), "lag": Range(0, 1e9), "window": Range(0),
    "columns_per_heater": Range(1, 64), "averaged_steps": Range(1), "temperature_offset": Range(-1e6, 1e6),
    "local_weight": Range(0, 1), "reward_offset": Range(-1e9, 1e9), "reward_scale": Range(-1e9, 1e9),
    "carry_on": Range(0, 1), "noise": Range(0, 1e6),
}  # fmt: skip


def _released_heights() -> tuple[float, ...]:
    """Every eighth of 64 Gauss-Chebyshev points, from the top, as the released code places its probes."""
    return tuple(math.cos(math.pi * (8 * j + 0.5) / 64) for j in range(8))


PRESETS: dict[str, Cell] = {
    # This package's: the published box on a grid that two cores can train on, true Nusselt number, no local reward.
    "compact": Cell(),
    # Vignon et al., Physics of Fluids 35, 065146 (2023), arXiv 2304.02370, and the code released with it
    # (KTH-FlowAI/DeepReinforcementLearning_RayleighBenard2D_Control). Its Ra = 1e4 lacks the factor height^3 = 8.
    "vignon2023": Cell(
        columns=96, points=64, time_step=0.05, joint=0.03, heights=_released_heights(), columns_per_heater=3,
        averaged_steps=4, temperature_offset=-0.7, nusselt="vignon2023", local_weight=0.0015, reward_offset=2.6726,
        reward_scale=1.0, carry_on=0.1,
    ),
}  # fmt: skip


def cell(preset: str = "compact", **changes: Any) -> Cell:
    """A preset with changed settings.

    Raises:
        UnknownId: no such preset or setting.
        InvalidParameter: a value is not allowed.
    """
    if not isinstance(preset, str) or preset not in PRESETS:
        raise UnknownId("convection preset", str(preset), PRESETS)
    known = [field.name for field in fields(Cell)]
    for name in changes:
        if name not in known:
            raise UnknownId("setting of a convection cell", name, known)
    return replace(PRESETS[preset], **changes)
