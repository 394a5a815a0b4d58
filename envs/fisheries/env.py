"""One fishery."""

from typing import Any

from agentgym.envs.fisheries.escapement import HarvestRule, rules
from agentgym.envs.fisheries.vector import FisheryVectorEnv
from agentgym.vector.views import NativeEnv

__all__ = ["FisheryEnv"]


class FisheryEnv(NativeEnv):
    """
    ## Description

    A stock of fish. Every year a quota is set, the harvest is what is there of it, and what is left, the escapement,
    grows by one of seven models:

    | `model` | f(s) | nominal | first stock |
    |---|---|---|---|
    | `logistic` | s + r s (1 - s/K) | r .3, K 1 | .75 |
    | `allee` | s + r s (1 - s/K) (s - C) | r .3, K 1, C .5 | .75 |
    | `tipping` | s exp(r (1 - s/K) (s - C)) | r .3, K 1, C .5 | .75 |
    | `beverton-holt` | (1 + r) s / (1 + r s/K) | r .3, K 1 | .75 |
    | `ricker` | s exp(r (1 - s/K)) | r .3, K 1 | .75 |
    | `may` | s + r s (1 - s/K) - a s^q / (s^q + b^q) | r .7, K 1.5, a .2, q 3, b .15 | .75 |
    | `myers` | (1 + r) s^theta / (1 + s^theta/K) | r 1, K 1, theta 3 | 1.5 |

    ## Action Space

    `Box(-1, 1, (1,))`: the quota is (a + 1) K, with the nominal K.

    ## Observation Space

    `Box(0, inf, (1,))`: the measured stock over the nominal K.

    ## Rewards

    The harvest, undiscounted.

    ## Starting State

    The model's first stock, or `reset(options={"stock": 0.3})`.

    ## Episode End

    A stock of 0 terminates the episode. The time limit is the id's, 101 years as in gym_fishing.

    ## Arguments

    - `model`: see above.
    - `sigma`, `noise`: growth noise. "lognormal" multiplies f(s) by exp(sigma N - sigma^2 / 2), of mean 1; "normal"
      adds sigma s N and stops at 0.
    - `measurement_sigma`: the observation is the stock times 1 + measurement_sigma N, at least 0.
    - `spread`: r and K of an episode are the nominal ones times 1 + spread N (at least .05).
    - `drift`: what r changes by every year, down to 0; a reset sets it back.
    - `parameters`: in place of the model's; `reset(options={"parameters": {"r": 0.2}})` for that and the following
      episodes.

    `info["stock"]` is the true stock, `info["harvest"]` the harvest. `env.unwrapped.controllers` has harvest rules:
    "escapement" (exact), "msy" and "tac".

    ## Vectorized environment

    `gym.make_vec("agentgym/Fishery-v0", num_envs=16)`; each world may have its own parameters.

    ## Version History

    * v0: Initial version
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self, model: str = "logistic", sigma: float = 0.0, noise: str = "lognormal", measurement_sigma: float = 0.0,
        spread: float = 0.0, drift: float = 0.0, parameters: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        batch = FisheryVectorEnv(1, model, sigma, noise, measurement_sigma, spread, drift, parameters, "Disabled")
        super().__init__(batch)
        self.fishery = batch

    @property
    def parameter_ranges(self) -> dict[str, tuple[float, float]]:
        """The uncertainty set: half to one and a half times the model's values."""
        return self.fishery.parameter_ranges

    @property
    def controllers(self) -> dict[str, HarvestRule]:
        """Harvest rules by name, for the nominal parameters."""
        return rules(self.fishery.growth, **self.fishery.nominal)
