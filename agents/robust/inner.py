"""Nature's minima over balls around a distribution, exact and for many rows at once.

Every function takes rows ``z`` [B, K] (what each outcome is worth), ``p`` [B, K] (its nominal probability) and
``radius`` [B], and minimises q . z over distributions q with D(q, p) <= radius. ``listed`` [B, K] says which outcomes
q may use. A :class:`Worst` holds an interval that contains the minimum: ``upper`` is q . z of a q of the ball,
``lower`` is a value of the dual problem. ``slope`` is the multiplier of the radius, and the line
``lower + slope * (radius - x)`` is below the minimum over the ball of every other radius x.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Worst", "by_dual", "chi_square", "greedy_box", "kl", "l1", "l_infinity", "transport", "weighted_l1"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Respond = Callable[[Floats], tuple[Floats, Floats]]
"""Takes prices [B] and gives the q [B, K] that minimise q . z + price * D(q, p), and their D [B]."""

ROUNDING = 16 * float(np.finfo(np.float64).eps)
HALVINGS = 200  # a bisection ends earlier, when no number lies between its ends


class Worst(NamedTuple):
    """Lower and upper bounds of the minima [B], their multipliers [B], and minimisers [B, K]."""

    lower: Floats
    upper: Floats
    slope: Floats
    q: Floats


def expected(q: Floats, z: Floats) -> Floats:
    """Sums over the outcomes that q uses, [B]: z may be anything where q is 0."""
    return np.einsum("bk,bk->b", q, np.where(q > 0, z, 0.0))


def l1(z: Floats, p: Floats, radius: Floats, listed: Mask) -> Worst:
    """D = sum |q - p|: half the radius moves from the most valuable outcomes to the least valuable one. O(K log K)."""
    rows = np.arange(len(z))
    worth = np.where(listed, z, np.inf)
    least = worth.argmin(1)
    floor = worth[rows, least]
    gain = np.where(p > 0, z - floor[:, None], -np.inf)
    gain[rows, least] = -np.inf
    order = np.argsort(-gain, axis=1, kind="stable")
    giving = np.take_along_axis(np.where(gain > -np.inf, p, 0.0), order, 1)
    passed = np.cumsum(giving, axis=1)
    moved = np.minimum(radius / 2, passed[:, -1])
    taken = np.clip(moved[:, None] - (passed - giving), 0.0, giving)
    q = p.copy()
    np.put_along_axis(q, order, np.take_along_axis(p, order, 1) - taken, 1)
    q[rows, least] += taken.sum(1)
    # The multiplier is half the gain of the outcome that would give next.
    next_one = (passed > moved[:, None]).argmax(1)
    more = passed[:, -1] > moved
    slope = np.where(more, np.maximum(gain[rows, order[rows, next_one]], 0.0) / 2, 0.0)
    value = expected(q, z)
    return Worst(value, value, slope, q)


def greedy_box(z: Floats, low: Floats, high: Floats) -> Floats:
    """The q of low <= q <= high with the least q . z: the cheapest outcomes are filled first. O(K log K)."""
    order = np.argsort(z, axis=1, kind="stable")
    room = np.take_along_axis(high - low, order, 1)
    left = 1.0 - low.sum(1, keepdims=True)
    filled = np.clip(left - (np.cumsum(room, 1) - room), 0.0, room)
    q = low.copy()
    np.put_along_axis(q, order, np.take_along_axis(low, order, 1) + filled, 1)
    return q


def l_infinity(z: Floats, p: Floats, radius: Floats, listed: Mask) -> Worst:
    """D = max |q - p|: a box around p, cut at 0."""
    edge = radius[:, None]
    low = np.maximum(p - edge, 0.0)
    high = np.where(listed, np.minimum(p + edge, 1.0), 0.0)
    worth = np.where(listed, z, np.inf)
    q = greedy_box(worth, low, high)
    # The multiplier: what one more unit of radius at every bound is worth, at the price of the outcome in between.
    order = np.argsort(worth, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(high - low, order, 1), 1)
    pivot = (sums >= (1.0 - low.sum(1))[:, None]).argmax(1)
    price = np.take_along_axis(z, order[np.arange(len(z)), pivot][:, None], 1)
    giving, taking = (z > price) & (p > edge), (z < price) & listed & (p + edge < 1.0)
    slope = (np.where(giving, z - price, 0.0) + np.where(taking, price - z, 0.0)).sum(1)
    value = expected(q, z)
    return Worst(value, value, slope, q)


def weighted_l1(z: Floats, p: Floats, listed: Mask, weights: Floats) -> Respond:
    """D = sum w |q - p|, weights [B, K] of at least 0: at a price, one outcome receives all that is given away."""
    rows = np.arange(len(z))

    def respond(price: Floats) -> tuple[Floats, Floats]:
        cost = np.where(listed, z, np.inf) + price[:, None] * weights
        receiver = cost.argmin(1)
        giving = (z - price[:, None] * weights > cost[rows, receiver][:, None]) & (p > 0)
        given = np.where(giving, p, 0.0)
        q = p - given
        q[rows, receiver] += given.sum(1)
        return q, (given * (weights + weights[rows, receiver][:, None])).sum(1)

    return respond


def transport(z: Floats, p: Floats, listed: Mask, costs: Floats) -> Respond:
    """D = the least cost of moving p to q, costs [B, K, K] from one outcome to another (Wasserstein, order 1)."""
    rows = np.arange(len(z))[:, None]
    worth = np.where(listed, z, np.inf)[:, None, :]

    def respond(price: Floats) -> tuple[Floats, Floats]:
        target = (worth + price[:, None, None] * costs).argmin(2)
        q = np.zeros_like(p)
        np.add.at(q, (rows, target), p)
        return q, (p * np.take_along_axis(costs, target[:, :, None], 2)[:, :, 0]).sum(1)

    return respond


def kl(z: Floats, p: Floats) -> Respond:
    """D = sum q log(q / p): q is p with exponential weights (Nilim and El Ghaoui 2005; Iyengar 2005)."""
    over = z - np.where(p > 0, z, np.inf).min(1, keepdims=True)
    over = np.where(p > 0, over, 0.0)

    def respond(price: Floats) -> tuple[Floats, Floats]:
        with np.errstate(divide="ignore", invalid="ignore"):
            exponent = np.where(over > 0, -over / price[:, None], 0.0)  # price 0: only the least valuable remain
        weight = p * np.exp(exponent)
        total = weight.sum(1, keepdims=True)
        q = weight / total
        ratio = np.where(q > 0, exponent - np.log(total), 0.0)
        return q, np.maximum(expected(q, ratio), 0.0)

    return respond


def chi_square(z: Floats, p: Floats) -> Respond:
    """D = sum (q - p)^2 / p: q = p max(0, t - z) / (2 price), where t makes it a distribution."""
    worth = np.where(p > 0, z, np.inf)
    worth = worth - worth.min(1, keepdims=True)
    order = np.argsort(worth, axis=1, kind="stable")
    value = np.take_along_axis(worth, order, 1)
    mass = np.take_along_axis(p, order, 1)
    masses = np.cumsum(mass, 1)
    sums = np.cumsum(mass * np.where(mass > 0, value, 0.0), 1)
    cheapest = worth == 0.0

    def respond(price: Floats) -> tuple[Floats, Floats]:
        level = (2.0 * price[:, None] + sums) / masses
        count = (value < level).sum(1) - 1  # the outcomes below the level are the first ones
        count = np.maximum(count, 0)
        top = np.take_along_axis(level, count[:, None], 1)
        q = np.where(p > 0, p * np.maximum(top - np.where(p > 0, worth, 0.0), 0.0), 0.0)
        q = np.where(price[:, None] > 0, q, p * cheapest)
        q /= q.sum(1, keepdims=True)
        return q, np.where(p > 0, (q - p) ** 2 / np.where(p > 0, p, 1.0), 0.0).sum(1)

    return respond


def by_dual(z: Floats, p: Floats, radius: Floats, respond: Respond) -> Worst:
    """The minimum by bisection on the price of the radius, the variable of the concave dual problem.

    The answers to the two last prices are mixed so that D is the radius: D is convex, so the mixture is in the ball.
    The dual's value at the last prices bounds the minimum from below.
    """
    low, high = np.zeros_like(radius), np.full_like(radius, np.inf)
    q_low, d_low = respond(low)
    used = q_low * 1.0
    free = d_low <= radius  # even the least expected value is in the ball
    price = np.where(free, 0.0, np.maximum(np.ptp(np.where(p > 0, z, z.min(1, keepdims=True)), axis=1), 1e-300))
    q_high, d_high = q_low, d_low
    for _ in range(HALVINGS):
        q, d = respond(price)
        within = (d <= radius) & ~free
        beyond = ~within & ~free
        low, high = np.where(beyond, price, low), np.where(within, price, high)
        d_low, d_high = np.where(beyond, d, d_low), np.where(within, d, d_high)
        q_low, q_high = np.where(beyond[:, None], q, q_low), np.where(within[:, None], q, q_high)
        middle = np.where(np.isinf(high), np.minimum(4.0 * price, 1e300), 0.5 * (low + high))
        middle = np.where(free, 0.0, middle)
        if (free | (middle == low) | (middle == high)).all():
            break
        price = middle
    never = ~free & np.isinf(high)  # radius 0 and the like: the ball is p alone
    q_high = np.where(never[:, None], p, q_high)
    d_high = np.where(never, 0.0, d_high)
    gap = np.where(d_low > d_high, d_low - d_high, 1.0)
    share = np.where(free, 0.0, np.clip((radius - d_high) / gap, 0.0, 1.0))
    mixed = (1.0 - share)[:, None] * q_high + share[:, None] * q_low
    q = np.where(free[:, None], used, mixed)
    upper = expected(q, z)
    at_low = expected(q_low, z) + low * (d_low - radius)
    finite = np.where(np.isinf(high), 0.0, high)
    at_high = np.where(np.isinf(high), -np.inf, expected(q_high, z) + finite * (d_high - radius))
    best = np.where(free, upper, np.maximum(at_low, at_high) - ROUNDING * low)  # what rounding of D may hide
    slope = np.where(free, 0.0, np.where(at_high > at_low, high, low))
    return Worst(np.minimum(best, upper), upper, slope, q)
