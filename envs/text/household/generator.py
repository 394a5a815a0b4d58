"""Generation of homes from a seed. The order of draws is fixed, so equal seeds give equal homes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from agentgym.envs.text.household.home import NOWHERE, Home, State
from agentgym.envs.text.household.names import APPLIANCES, ITEM_KINDS, RECEPTACLES, ROOMS, TaskKind, goals
from agentgym.envs.text.presets import Household
from agentgym.seeding import stream

__all__ = ["build"]

T = TypeVar("T")


class Draws:
    """Random choices from one stream. Draws uniforms in blocks, since single calls of NumPy cost microseconds each."""

    def __init__(self, seed: int, *names: str | int) -> None:
        generator = stream(seed, *names)
        self._uniform = iter(_uniforms(generator))

    def below(self, n: int) -> int:
        """An integer in [0, n)."""
        return int(next(self._uniform) * n)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return next(self._uniform) < probability

    def pick(self, of: Sequence[T]) -> T:
        """One element."""
        return of[int(next(self._uniform) * len(of))]

    def some(self, of: Sequence[T], n: int) -> list[T]:
        """``n`` elements in random order, without repetition."""
        pool = list(of)
        for place in range(n):
            other = place + self.below(len(pool) - place)
            pool[place], pool[other] = pool[other], pool[place]
        return pool[:n]


def _uniforms(generator: np.random.Generator) -> Iterator[float]:
    while True:
        yield from generator.random(160).tolist()


def build(size: Household, tasks: Sequence[TaskKind], split: str, seed: int, episode: int) -> Home:
    """The home of one episode.

    Args:
        size: size of the home.
        tasks: the kinds of task to draw from, each equally likely.
        split: "train" and "seen" have the same pairs of item and target in other homes, "unseen" the held-out pairs.
        seed: seed of the environment.
        episode: number of earlier episodes with this seed.
    """
    draws = Draws(seed, "household", split, episode)
    task = draws.pick(tasks)
    item, target = draws.pick(goals(task, split == "unseen"))
    rooms, exits, apart = _rooms(draws, size)
    kinds, lamp = _receptacle_kinds(draws, size, task, target)
    kinds, room_of, lamp = _receptacle_rooms(draws, size, kinds, lamp, target)
    targets = [lamp] if task == "light" else [n for n, kind in enumerate(kinds) if kind == target]
    receptacles = _numbered(kinds)
    item_kinds = _item_kinds(draws, size, task, item)
    items = _numbered(item_kinds)
    wanted = [n for n, kind in enumerate(item_kinds) if kind == item]
    openable = [RECEPTACLES[kind][2] for kind in kinds]
    # No item starts at its target, since part of the task would be solved already.
    free = [n for n in range(len(kinds)) if n not in targets]
    if size.far_apart:
        free = [n for n in free if room_of[n] == size.rooms - 1]
    where = [draws.pick(free) if kind == item else draws.below(len(kinds)) for kind in item_kinds]
    opened = [not opens or not draws.chance(size.closed) for opens in openable]
    room = 0 if size.far_apart else draws.below(size.rooms)
    start = State(room, NOWHERE, NOWHERE, where, [0] * len(items), opened, lit=False)
    index = {name: n for names in (receptacles, items) for n, name in enumerate(names)}
    return Home(
        rooms, exits, apart, receptacles, kinds, room_of, openable, items, item_kinds, lamp, task, item, target, wanted,
        targets, start, index,
    )  # fmt: skip


def _rooms(draws: Draws, size: Household) -> tuple[list[str], list[list[int]], list[list[int]]]:
    """Names, neighbours and distances of rooms. Each adjoins one of the two before it; in a row, the one before."""
    names = draws.some(ROOMS, size.rooms)
    exits: list[list[int]] = [[]]
    apart = [[0]]
    for room in range(1, size.rooms):
        joined = room - 1 if size.far_apart or room == 1 or draws.chance(0.5) else room - 2
        exits[joined].append(room)
        exits.append([joined])
        reach = [steps + 1 for steps in apart[joined]]
        for other, steps in enumerate(reach):
            apart[other].append(steps)
        apart.append([*reach, 0])
    return names, exits, apart


def _receptacle_kinds(draws: Draws, size: Household, task: TaskKind, target: str) -> tuple[list[str], int]:
    """The receptacles, required ones first, and which of them carries the lamp."""
    necessary, lamp = [], NOWHERE
    if task == "light":
        lamp = 0
        necessary.append(draws.pick([kind for kind, (_, where, opens) in RECEPTACLES.items() if where == "on"]))
    else:
        necessary.append(target)
        if RECEPTACLES[target][0] > 1 and draws.chance(0.5):
            necessary.append(target)
    if task in APPLIANCES:
        necessary.append(APPLIANCES[task])
    left = Counter({kind: most for kind, (most, _, _) in RECEPTACLES.items()})
    left.subtract(necessary)
    # At most two targets, so that there are other places for the items.
    pool = [kind for kind, count in left.items() for _ in range(count) if kind != target]
    return necessary + draws.some(pool, size.receptacles - len(necessary)), lamp


def _receptacle_rooms(
    draws: Draws, size: Household, kinds: list[str], lamp: int, target: str
) -> tuple[list[str], list[int], int]:
    """Distribute receptacles over the rooms, at least one in each, and sort them by room and kind.

    If the way is to be long, the targets are in the first room.
    """
    ends = [n for n, kind in enumerate(kinds) if n == lamp or kind == target] if size.far_apart else []
    others = draws.some([n for n in range(len(kinds)) if n not in ends], len(kinds) - len(ends))
    rooms = dict.fromkeys(ends, 0)
    for place, n in enumerate(others):
        room = size.rooms - 1 - place
        rooms[n] = room if room >= 0 else draws.below(size.rooms)
    order = sorted(range(len(kinds)), key=lambda n: (rooms[n], kinds[n], n))
    return [kinds[n] for n in order], [rooms[n] for n in order], order.index(lamp) if lamp >= 0 else NOWHERE


def _item_kinds(draws: Draws, size: Household, task: TaskKind, item: str) -> list[str]:
    """One or two wanted items (two or three if the task needs two), and items of other kinds, at most three each."""
    copies = (2 if task == "two" else 1) + draws.below(2)
    pool = [kind for kind in ITEM_KINDS for _ in range(3) if kind != item]
    return draws.some([item] * copies + draws.some(pool, size.items - copies), size.items)


def _numbered(kinds: Sequence[str]) -> list[str]:
    counts: Counter[str] = Counter()
    names = []
    for kind in kinds:
        counts[kind] += 1
        names.append(f"{kind} {counts[kind]}")
    return names
