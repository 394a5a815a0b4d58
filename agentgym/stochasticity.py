"""Levels of stochasticity in environments, defined alike for recording datasets and for evaluation.

- noise: standard deviation of ``TimeCorrelatedActionNoise`` in units of half the action range, for bounded Box actions;
- slip: probability of slipping sideways in FrozenLake, whose ``success_rate`` is 1 - slip;
- reward_noise: standard deviation of ``RewardNoise``, for any environment.
"""

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from agentgym.errors import InvalidParameter

__all__ = ["STANDARD_SLIP", "Stochasticity"]

STANDARD_SLIP = 2 / 3  # FrozenLake's default: one move in three succeeds
SLIPPERY = ("FrozenLake-v1", "FrozenLake8x8-v1")


@dataclass(frozen=True)
class Stochasticity:
    """A level of stochasticity.

    Args:
        noise: standard deviation of the action noise, at least 0; from 0 to 1 in Yang et al. (arXiv 2210.13435).
        slip: slip probability from 0 to 1; None keeps the environment's default.
        reward_noise: standard deviation of the reward noise, at least 0, in units of the reward.

    Raises:
        InvalidParameter: a setting is out of range.
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
        """Additional keyword arguments for the environment with id ``env``.

        Raises:
            InvalidParameter: a slip is set but the environment does not support it.
        """
        if self.slip is None:
            return {}
        if env not in SLIPPERY:
            raise InvalidParameter(
                f"{env} has no slip; only {' and '.join(SLIPPERY)} have it. Other settings: noise, reward_noise."
            )
        return {"success_rate": 1.0 - self.slip}

    def perturbations(self) -> list[dict[str, Any]]:
        """Configurations of the perturbations, innermost first."""
        configs: list[dict[str, Any]] = []
        if self.noise:
            configs.append({"type": "TimeCorrelatedActionNoise", "std": float(self.noise), "scale": "half_range"})
        if self.reward_noise:
            configs.append({"type": "RewardNoise", "std": float(self.reward_noise)})
        return configs

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Stochasticity":
        """The level given by a recipe's settings, with defaults for missing ones."""
        return cls(**{field.name: settings[field.name] for field in fields(cls) if field.name in settings})
