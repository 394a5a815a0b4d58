"""Finite processes by name, as arrays; ``parameter_ranges`` says which of a model's numbers are uncertain."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from agentgym.contracts.mdp import MDP
from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import UnknownId
from agentgym.seeding import stream

__all__ = ["MODELS", "Model", "frozen_lake", "garnet", "inventory", "machine_replacement", "model", "river_swim",
           "windy_walk"]  # fmt: skip

LEFT, RIGHT = 0, 1


def river_swim(
    states: int = 6, right: float = 0.35, back: float = 0.05, end_back: float = 0.4, start_right: float = 0.6,
    small: float = 5.0, large: float = 10_000.0, discount: float = 0.95,
) -> MDP:  # fmt: skip
    """RiverSwim (Strehl and Littman 2008): a small reward at the near bank, a large one upstream.

    Action 0 swims left and always succeeds. Action 1 swims right: from a state in between it moves right with
    probability ``right`` and left with ``back``, from the first state right with ``start_right``, from the last left
    with ``end_back``; otherwise it stays. ``small`` is paid for left in the first state, ``large`` for right in the
    last. Episodes start in state 0.
    """
    count = whole_number("states", states, 2)
    up, down = finite_number("right", right, 0, 1), finite_number("back", back, 0, 1)
    kernel, rewards = np.zeros((count, 2, count)), np.zeros((count, 2))
    for s in range(count):
        kernel[s, LEFT, max(s - 1, 0)] = 1.0
    for s in range(1, count - 1):
        kernel[s, RIGHT, [s - 1, s, s + 1]] = down, 1.0 - up - down, up
    first, last = finite_number("start_right", start_right, 0, 1), finite_number("end_back", end_back, 0, 1)
    kernel[0, RIGHT, [0, 1]] = 1.0 - first, first
    kernel[-1, RIGHT, [-2, -1]] = last, 1.0 - last
    rewards[0, LEFT], rewards[-1, RIGHT] = finite_number("small", small), finite_number("large", large)
    return MDP.dense(kernel, rewards, discount, start=np.eye(count)[0])


def machine_replacement(
    states: int = 8, wear: float = 0.8, repaired: float = 0.9, repair_cost: float = 2.0, failure_cost: float = 20.0,
    discount: float = 0.95,
) -> MDP:  # fmt: skip
    """A machine that wears out: action 0 operates it, action 1 repairs it.

    In operation it wears by one level with probability ``wear``. A repair succeeds with probability ``repaired`` and
    gives level 0, otherwise the level stays; it costs ``repair_cost``. Operating at the last level costs
    ``failure_cost`` a step, at other levels nothing. It starts at level 0.
    """
    count = whole_number("states", states, 2)
    worn, done = finite_number("wear", wear, 0, 1), finite_number("repaired", repaired, 0, 1)
    kernel, rewards = np.zeros((count, 2, count)), np.zeros((count, 2))
    for s in range(count):
        kernel[s, 0, s] += 1.0 - worn
        kernel[s, 0, min(s + 1, count - 1)] += worn
        kernel[s, 1, 0] += done
        kernel[s, 1, s] += 1.0 - done
    rewards[:, 1] = -finite_number("repair_cost", repair_cost)
    rewards[-1, 0] = -finite_number("failure_cost", failure_cost)
    return MDP.dense(kernel, rewards, discount, start=np.eye(count)[0])


def garnet(states: int = 20, actions: int = 4, branching: int = 5, seed: int = 0, discount: float = 0.95) -> MDP:
    """Garnet (Archibald, McKinnon and Thomas 1995): random successors with random probabilities and rewards.

    Every state and action has ``branching`` distinct successors; their probabilities are the lengths between sorted
    uniform cuts of [0, 1], and r(s, a) is standard normal. The first state is drawn uniformly.
    """
    count, choices = whole_number("states", states, 1), whole_number("actions", actions, 1)
    width = whole_number("branching", branching, 1, count)
    draws = stream(whole_number("seed", seed, 0), "garnet")
    if count <= 4096:
        targets = np.argsort(draws.random((count, choices, count)), axis=2)[:, :, :width]
    else:
        targets = np.stack([draws.choice(count, width, replace=False) for _ in range(count * choices)])
        targets = targets.reshape(count, choices, width)
    cuts = np.sort(draws.random((count, choices, width - 1)), axis=2)
    ends = np.zeros((count, choices, 1)), np.ones((count, choices, 1))
    probabilities = np.diff(np.concatenate([ends[0], cuts, ends[1]], axis=2), axis=2)
    rewards = np.repeat(draws.normal(size=(count, choices, 1)), width, axis=2)
    return MDP(targets, probabilities, rewards, discount, np.full(count, 1.0 / count), np.zeros(count, bool))


WALK = (
    "S.....G",
    "..###..",
    ".......",
    "..###..",
    ".......",
    ".......",
)
"""36 cells and 6 walls. The corridors are columns 2 to 4 of row 0 (north), row 2 (middle), rows 4 and 5 (south)."""


def windy_walk(wind: float = 0.0, discount: float = 0.95) -> MDP:
    """The windy walk of IWOCS (Zouitine, Geist and Rachelson, arXiv 2410.06212, section 4), on a map of our own.

    Every step costs 1 until the goal. Actions: 0 north, 1 south, 2 east, 3 west; walls and edges stop a move. In a
    corridor, any move but west is replaced by a push to the west with probability w: ``wind`` in the north corridor,
    ``wind`` cubed in the middle one, ``wind`` to the sixth in the south one. ``wind`` is from 0 to 0.5.
    """
    strength = finite_number("wind", wind, 0.0, 0.5)
    cells = [(row, column) for row, line in enumerate(WALK) for column, cell in enumerate(line) if cell != "#"]
    index = {cell: n for n, cell in enumerate(cells)}
    goal, first = index[0, 6], index[0, 0]
    kernel = np.zeros((len(cells), 4, len(cells)))
    for (row, column), s in index.items():
        windy = 2 <= column <= 4
        push = strength ** {0: 1, 2: 3}.get(row, 6) if windy else 0.0
        west = index.get((row, column - 1), s)
        for a, (down, right) in enumerate(((-1, 0), (1, 0), (0, 1), (0, -1))):
            moved = index.get((row + down, column + right), s)
            kernel[s, a, moved] += 1.0 - push
            kernel[s, a, west] += push
    rewards = np.full(kernel.shape, -1.0)
    return MDP.dense(kernel, rewards, discount, start=np.eye(len(cells))[first], terminal=[goal])


def inventory(
    capacity: int = 10, demand: float = 4.0, price: float = 3.0, order_cost: float = 1.0, fixed_cost: float = 2.0,
    holding_cost: float = 0.2, discount: float = 0.95,
) -> MDP:  # fmt: skip
    """A stock from 0 to ``capacity`` with Poisson demand of mean ``demand``; unmet demand is lost.

    Action a orders a units (what does not fit is not delivered, nor paid for); they arrive before the demand. The
    reward is price times sales, which the next stock tells, minus order, fixed and holding costs. It starts empty.
    """
    most = whole_number("capacity", capacity, 1)
    mean = finite_number("demand", demand, 0.0, 700.0)
    numbers = {"price": price, "order_cost": order_cost, "fixed_cost": fixed_cost, "holding_cost": holding_cost}
    paid, unit, fixed, hold = (finite_number(name, value) for name, value in numbers.items())
    mass = np.array([math.exp(d * math.log(mean) - mean - math.lgamma(d + 1)) if mean else float(d == 0)
                     for d in range(most)])  # fmt: skip
    kernel = np.zeros((most + 1, most + 1, most + 1))
    rewards = np.zeros_like(kernel)
    for stock in range(most + 1):
        for order in range(most + 1):
            filled = min(stock + order, most)
            bought = filled - stock
            left = np.arange(filled + 1)
            kernel[stock, order, left[1:]] = mass[filled - left[1:]]
            kernel[stock, order, 0] = max(0.0, 1.0 - kernel[stock, order, 1:].sum())
            costs = unit * bought + fixed * (bought > 0)
            rewards[stock, order, : filled + 1] = paid * (filled - left) - costs - hold * left
            rewards[stock, order, filled + 1 :] = -costs - hold * filled  # what no demand leads to
    return MDP.dense(kernel, rewards, discount, start=np.eye(most + 1)[0])


def frozen_lake(map_name: str = "4x4", slippery: float = 2 / 3, discount: float = 0.99) -> MDP:
    """Gymnasium's FrozenLake: a move goes to each side with half of the probability ``slippery``."""
    size = {"4x4": 4, "8x8": 8}
    if map_name not in size:
        raise UnknownId("map of FrozenLake", str(map_name), size)
    chance = finite_number("slippery", slippery, 0.0, 1.0)
    env = gymnasium.make("FrozenLake-v1", map_name=map_name, is_slippery=True, success_rate=1.0 - chance)
    return MDP.from_gymnasium(env, discount)


class Model(NamedTuple):
    """A model's function, and its uncertain parameters with their ranges."""

    make: Callable[..., MDP]
    parameter_ranges: Mapping[str, tuple[float, float]]


MODELS: Mapping[str, Model] = {
    "river-swim": Model(river_swim, {"right": (0.05, 0.6), "back": (0.0, 0.3), "end_back": (0.1, 0.9)}),
    "machine-replacement": Model(machine_replacement, {"wear": (0.5, 1.0), "repaired": (0.5, 1.0)}),
    "garnet": Model(garnet, {}),
    "windy-walk": Model(windy_walk, {"wind": (0.0, 0.5)}),
    "inventory": Model(inventory, {"demand": (1.0, 8.0)}),
    "frozen-lake": Model(frozen_lake, {"slippery": (0.0, 0.9)}),
}


def model(name: str, **numbers: Any) -> MDP:
    """A process by name, e.g. ``model("river-swim", states=10)``.

    Raises:
        UnknownId: there is no such model, or it has no such number.
        InvalidParameter, NonFinite: a number is out of its range.
    """
    if name not in MODELS:
        raise UnknownId("tabular model", str(name), MODELS)
    make = MODELS[name].make
    known = make.__code__.co_varnames[: make.__code__.co_argcount]
    for each in numbers:
        if each not in known:
            raise UnknownId(f"number of {name}", each, known)
    return make(**numbers)
