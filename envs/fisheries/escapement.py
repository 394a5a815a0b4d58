"""Harvest rules: the exact constant escapement, and rules that harvest a share of the stock."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from scipy.optimize import brentq

from agentgym.contracts.settings import finite_number
from agentgym.envs.fisheries.growth import Growth
from agentgym.errors import InvalidParameter

__all__ = ["Escapement", "HarvestRule", "optimal_escapement", "rules"]

POINTS = 4000
LARGEST = 4.0  # in units of K: no model grows from larger stocks


class Escapement(NamedTuple):
    """The best constant escapement S*, and what it yields every year, f(S*) - S*."""

    stock: float
    sustainable_yield: float


def optimal_escapement(growth: Growth, discount: float = 1.0, **parameters: float) -> Escapement:
    """The escapement that maximises discount f(S) - S, so that f'(S*) = 1 / discount (Clark 1973; Reed 1979).

    To leave S* and harvest the rest is optimal for concave f, also under multiplicative noise of mean 1 if a stock that
    has been left at S* never falls below S* (Reed's self-sustaining condition). For depensatory growth (allee, tipping,
    may, myers) it is the best constant escapement, not always the best policy. S* is 0 where no escapement is worth
    more than to harvest everything at once.

    Args:
        growth: the model.
        discount: above 0, at most 1.
        parameters: in place of the nominal ones.

    Raises:
        UnknownId: the model has no such parameter.
        InvalidParameter: a number is out of its range.
    """
    factor = finite_number("The discount", discount, 0.0, 1.0, above=True)
    values = {**growth.parameters, **growth.checked(parameters)}
    stocks = np.linspace(0.0, LARGEST * values["K"], POINTS + 1)
    worth = factor * growth.after(stocks, **values) - stocks
    best = int(worth.argmax())
    if best == 0:
        return Escapement(0.0, 0.0)
    if best == POINTS:
        raise InvalidParameter(f"The {growth.name} model with {values} grows without end: it has no best escapement.")
    ends = stocks[best - 1], stocks[best + 1]
    stock = float(brentq(lambda s: factor * growth.slope(s, **values) - 1.0, *ends, xtol=1e-15, rtol=1e-15))
    return Escapement(stock, float(growth.after(stock, **values)) - stock)


class HarvestRule:
    """A quota from the observed stock, with the ``predict`` of Stable-Baselines3.

    Args:
        law: quotas [N] from stocks [N], both in units of K.
    """

    def __init__(self, law: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
        self.law = law
        self.observation_space = spaces.Box(0.0, np.inf, (1,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def predict(
        self, observation: NDArray[Any], state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[NDArray[np.float32], Any]:
        """Actions for an observation [1] or a batch of them [N, 1]."""
        quota = self.law(np.asarray(observation, np.float64))
        return np.clip(quota - 1.0, -1.0, 1.0).astype(np.float32), state


def rules(growth: Growth, discount: float = 1.0, **parameters: float) -> dict[str, HarvestRule]:
    """The rules of Memarzadeh and Boettiger (2018) that need no planning.

    "escapement" leaves S*; "msy" harvests the share of the stock that is sustainable at the greatest yield; "tac" takes
    80 % of that.
    """
    values = {**growth.parameters, **parameters}
    target = optimal_escapement(growth, discount, **parameters).stock / values["K"]
    most = optimal_escapement(growth, 1.0, **parameters)
    share = most.sustainable_yield / (most.stock + most.sustainable_yield) if most.stock else 0.0
    return {
        "escapement": HarvestRule(lambda stock: np.maximum(stock - target, 0.0)),
        "msy": HarvestRule(lambda stock: share * stock),
        "tac": HarvestRule(lambda stock: 0.8 * share * stock),
    }
