"""A fishery as a finite process, for stochastic dynamic programming and its robust forms."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from agentgym.contracts.mdp import MDP
from agentgym.contracts.settings import finite_number, whole_number
from agentgym.envs.fisheries.growth import growth
from agentgym.errors import UnknownId

__all__ = ["grid_observations", "grid_process", "grid_stocks"]

Floats = NDArray[np.float64]


def grid_stocks(points: int = 101, top: float = 2.0) -> Floats:
    """Stocks from 0 to ``top``; also the quotas."""
    return np.linspace(0.0, finite_number("top", top, 0.0, above=True), whole_number("points", points, 2))


def grid_process(
    model: str = "logistic", points: int = 101, top: float = 2.0, sigma: float = 0.0, noise: str = "lognormal",
    discount: float = 0.95, start: float | None = None, **parameters: float,
) -> MDP:  # fmt: skip
    """States and actions are the grid's stocks and quotas; the reward is the harvest, min(stock, quota).

    Noise is as in :class:`agentgym.envs.fisheries.env.FisheryEnv`; a stock counts as the nearest of the grid. Without
    noise the two neighbours share it, so that the expected stock is exact. Stock 0 is terminal.

    Args:
        model: a growth model's name.
        points: of the grid.
        top: the greatest stock.
        sigma: standard deviation of the growth noise.
        noise: "lognormal" or "normal".
        discount: from 0 to 1.
        start: the first stock; the model's by default.
        parameters: of the growth model.

    Raises:
        UnknownId: no such model, noise or parameter.
        InvalidParameter: a number is out of its range.
    """
    law, stocks = growth(model), grid_stocks(points, top)
    spread = finite_number("sigma", sigma, 0.0)
    if noise not in ("lognormal", "normal"):
        raise UnknownId("growth noise", str(noise), ("lognormal", "normal"))
    left = np.maximum(stocks[:, None] - stocks, 0.0)  # [S, A]
    values, place = np.unique(left, return_inverse=True)
    rows = _spread(law.after(values, **law.checked(parameters)), values, stocks, spread, noise)
    first = finite_number("start", law.start if start is None else start, 0.0, float(stocks[-1]), above=True)
    return MDP.dense(
        rows[place.reshape(left.shape)], np.minimum(stocks[:, None], stocks), discount,
        start=_neighbours(np.array([first]), stocks)[0], terminal=[0],
    )  # fmt: skip


def grid_observations(points: int = 101, top: float = 2.0, measurement_sigma: float = 0.0) -> Floats:
    """The probability [S, O] of measuring each stock: the true one times 1 + measurement_sigma N, at least 0."""
    stocks, error = grid_stocks(points, top), finite_number("measurement_sigma", measurement_sigma, 0.0)
    if error == 0.0:
        return np.eye(len(stocks))
    edges = 0.5 * (stocks[1:] + stocks[:-1])
    with np.errstate(divide="ignore"):
        reached = ndtr((edges - stocks[:, None]) / (error * stocks[:, None]))
    return np.diff(np.hstack([np.zeros((len(stocks), 1)), reached, np.ones((len(stocks), 1))]), axis=1)


def _spread(after: Floats, left: Floats, stocks: Floats, sigma: float, noise: str) -> Floats:
    """The distribution [M, S] of next year's stock after escapements [M]."""
    if sigma == 0.0:
        return _neighbours(after, stocks)
    edges = 0.5 * (stocks[1:] + stocks[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        if noise == "lognormal":
            score = (np.log(edges) - np.log(after)[:, None]) / sigma + 0.5 * sigma
        else:
            score = (edges - after[:, None]) / (sigma * left[:, None])
    score[after == 0.0] = np.inf  # what is gone stays gone
    reached = np.hstack([np.zeros((len(after), 1)), ndtr(score), np.ones((len(after), 1))])
    return np.diff(reached, axis=1)


def _neighbours(values: Floats, stocks: Floats) -> Floats:
    """Each value as a mixture [M, S] of the two stocks around it."""
    step = stocks[1]
    exact = np.clip(values, 0.0, stocks[-1]) / step
    below = np.minimum(exact.astype(int), len(stocks) - 2)
    rows = np.zeros((len(values), len(stocks)))
    rows[np.arange(len(values)), below] = 1.0 - (exact - below)
    rows[np.arange(len(values)), below + 1] += exact - below
    return rows
