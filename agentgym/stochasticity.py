"""The dial of stochasticity: how random a world is, in equal terms where data are recorded and where agents are judged.

- noise: σ of the time-correlated action noise, in half ranges: ``TimeCorrelatedActionNoise``, for bounded Box actions;
- slip: the probability that a move goes sideways: FrozenLake, whose ``success_rate`` is 1 - slip;
- reward_noise: the standard deviation of what is added to rewards: ``RewardNoise``, for any environment.
"""

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from agentgym.errors import InvalidParameter

__all__ = ["STANDARD_SLIP", "Stochasticity"]

STANDARD_SLIP = 2 / 3  # FrozenLake's own: a move goes where it should one time in three
SLIPPERY = ("FrozenLake-v1", "FrozenLake8x8-v1")


@dataclass(frozen=True)
class Stochasticity:
    """One position of the dial.

    Args:
        noise: σ, at least 0; from 0 to 1 in Yang et al. (arXiv 2210.13435).
        slip: from 0 to 1; None leaves the environment as it is.
        reward_noise: at least 0, in the reward's units.

    Raises:
        InvalidParameter: a setting is out of its range.
    """

    noise: float = 0.0
    slip: float | None = None
    reward_noise: float = 0.0

    def __post_init__(self) -> None:
        for field, high in (("noise", math.inf), ("reward_noise", math.inf), ("slip", 1.0)):
            value = getattr(self, field)
            if field == "slip" and value is None:
                continue
            real = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
            if not real or not 0.0 <= value <= high:
                wanted = "a number, at least 0" if high == math.inf else "a number from 0 to 1"
                raise InvalidParameter(f"{field} is {value!r}; it must be {wanted}.")

    def env_kwargs(self, env: str) -> dict[str, Any]:
        """What the environment of that id is made with, beside its own arguments.

        Raises:
            InvalidParameter: there is a slip, and the environment has none.
        """
        if self.slip is None:
            return {}
        if env not in SLIPPERY:
            raise InvalidParameter(
                f"{env} has no slip; {' and '.join(SLIPPERY)} have. Other dials: noise, reward_noise."
            )
        return {"success_rate": 1.0 - self.slip}

    def perturbations(self) -> list[dict[str, Any]]:
        """Configurations of the perturbations around it, from the inside out."""
        found: list[dict[str, Any]] = []
        if self.noise:
            found.append({"type": "TimeCorrelatedActionNoise", "std": float(self.noise), "scale": "half_range"})
        if self.reward_noise:
            found.append({"type": "RewardNoise", "std": float(self.reward_noise)})
        return found

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Stochasticity":
        """The dial among the settings of a recipe; those that a recipe does not have are at their defaults."""
        return cls(**{field.name: settings[field.name] for field in fields(cls) if field.name in settings})
