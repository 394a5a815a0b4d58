"""The Bernoulli bandit with two arms."""

import math
import numbers
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agentgym.errors import InvalidAction, InvalidParameter
from agentgym.seeding import entropy, stream
from agentgym.vector.resets import check_options, seed_of_one

__all__ = ["BernoulliBanditEnv"]


class BernoulliBanditEnv(gymnasium.Env[np.int64, np.int64]):
    """
    ## Description

    Two arms. Arm 1 pays 1 with probability 1 - p and arm 2 with probability p; otherwise they pay 0. An episode is one
    pull.

    For p < 1/2 arm 1 is better, and the best expected return is 1 - p. This cannot be inferred from returns alone: in
    data in which arm 1 is pulled with probability p, a pull that paid is equally likely from either arm (Yang et al.,
    "Dichotomy of Control", arXiv 2210.13435).

    ## Action Space

    `Discrete(2)`: 0 pulls arm 1, 1 pulls arm 2. Anything else raises :class:`agentgym.errors.InvalidAction`.

    ## Observation Space

    `Discrete(1)`: always 0.

    ## Rewards

    1 or 0. `reset(seed=s)` fixes the payments of both arms for this pull and the following ones. `info["pays"]` of the
    step holds what each arm would have paid, so agents with the same seed can be compared on equal luck.

    ## Starting State

    Always the same.

    ## Episode End

    The first step terminates the episode.

    ## Arguments

    - `p`: from 0 to 1. `reset(options={"p": 0.3})` changes it from that episode on.

    ## Version History

    * v0: Initial version
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, p: float = 0.1) -> None:
        self.observation_space = spaces.Discrete(1)
        self.action_space = spaces.Discrete(2)
        self.p = _probability(p)
        self._luck: np.random.Generator | None = None
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Start an episode.

        Raises:
            UnknownId: no such option.
            InvalidParameter: ``options["p"]`` is not a number from 0 to 1.
        """
        seed = seed_of_one(seed)
        given = check_options(type(self).__name__, options, ("p",))
        p = _probability(given.get("p", self.p))
        super().reset(seed=seed)
        if seed is not None or self._luck is None:
            self._luck = stream(entropy() if seed is None else seed, "bandit")
        self.p = p
        self._over = False
        return np.int64(0), {}

    def step(self, action: Any) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Pull an arm."""
        if self._over or self._luck is None:
            raise gymnasium.error.ResetNeeded("An episode is one pull: call reset() first.")
        if not self.action_space.contains(action):
            raise InvalidAction(f"{action!r} is not an arm: 0 pulls arm 1, 1 pulls arm 2.")
        self._over = True
        pays = (self._luck.random(2) < [1.0 - self.p, self.p]).astype(int).tolist()
        return np.int64(0), float(pays[int(action)]), True, False, {"pays": pays}


def _probability(p: Any) -> float:
    if isinstance(p, bool) or not isinstance(p, numbers.Real) or not math.isfinite(p) or not 0.0 <= float(p) <= 1.0:
        raise InvalidParameter(f"p is {p!r}; it must be a number from 0 to 1.")
    return float(p)
