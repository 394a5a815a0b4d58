"""The shortest plan from any state, found by comparing the few candidates for it.

Items are carried one at a time and closing never helps, so a shortest plan is a few errands in a fixed order: take a
wanted item, treat it, put it down, and for "two" the same again. Between errands the agent goes straight and opens
what it must. Another item in its hand is put down where the first item is taken: that place is open then, and putting
down costs one turn anywhere. It is therefore enough to compare all choices of items, appliances and targets. Tests
compare the result with a breadth-first search over all states, and check on large homes that no action shortens the
plan by more than one.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agentgym.envs.text.household.home import IN_HAND, NOWHERE, Home, State, solved
from agentgym.envs.text.household.names import APPLIANCES, LAMP, RECEPTACLES
from agentgym.envs.text.household.phrases import CONDITION

__all__ = ["NO_WAY", "commands", "distance", "go_to", "next_room", "plan", "shortest"]

NO_WAY = 1 << 30


class Errand(NamedTuple):
    """An action at one receptacle."""

    verb: str
    item: int
    place: int


Way = list[Errand]


def shortest(
    home: Home, state: State, items: Sequence[int] | None = None, places: Sequence[int] | None = None
) -> tuple[int, Way]:
    """The minimum number of turns from ``state`` to success, and the errands.

    Args:
        home: the home.
        state: any state of it.
        items: the wanted items that may be used; None: all.
        places: the receptacles that may be used; None: all.

    Returns:
        ``(turns, errands)``; turns is :data:`NO_WAY` if these items and places do not suffice.
    """
    items = home.wanted if items is None else [n for n in home.wanted if n in items]
    usable = range(len(home.receptacles)) if places is None else places
    best: tuple[int, Way] = (NO_WAY, [])
    if solved(home, state):
        return 0, []
    for way in _ways(home, state, items, usable):
        turns = _turns(home, state, way)
        if turns < best[0]:
            best = turns, way
    return best


def distance(home: Home, state: State) -> int:
    """The minimum number of turns to success."""
    return shortest(home, state)[0]


def plan(home: Home, state: State) -> list[str]:
    """The commands of a shortest plan."""
    return list(commands(home, state, shortest(home, state)[1]))


def _ways(home: Home, state: State, items: Sequence[int], usable: Sequence[int]) -> Iterator[Way]:
    targets = [n for n in home.targets if n in usable]
    if home.task == "light":
        for item in items:
            if targets:
                yield [*_take(state, item), Errand("use", item, home.lamp)]
        return
    if home.task == "two":
        for target in targets:
            there = [n for n in items if state.where[n] == target]
            rest = [n for n in items if n not in there]
            for first in rest:
                one = [*_take(state, first), Errand("put", first, target)]
                if there:
                    yield one
                    continue
                for second in rest:
                    # The item in the hand goes first, since it has to be put down anyway.
                    if second != first and second != state.hand:
                        yield [*one, Errand("take", second, state.where[second]), Errand("put", second, target)]
        return
    needed = CONDITION.get(home.task, 0)
    appliance = APPLIANCES.get(home.task)
    for item in items:
        if state.condition[item] & needed == needed:
            treated: list[Way] = [[]]
        else:
            treated = [[Errand(home.task, item, n)] for n in usable if home.kinds[n] == appliance]
        for treatment in treated:
            for target in targets:
                yield [*_take(state, item), *treatment, Errand("put", item, target)]


def _take(state: State, item: int) -> Way:
    return [] if state.where[item] == IN_HAND else [Errand("take", item, state.where[item])]


def _turns(home: Home, state: State, way: Way) -> int:
    room, at, hand, turns = state.room, state.at, state.hand, 0
    opened: list[int] = []
    for verb, _, place in way:
        if at != place:
            turns += home.apart[room][home.room_of[place]] + 1
            room, at = home.room_of[place], place
        if verb == "use":
            turns += not state.lit
            continue
        if verb in ("take", "put") and not state.opened[place] and place not in opened:
            opened.append(place)
            turns += 1
        if verb == "take" and hand != NOWHERE:
            turns += 1
        hand = NOWHERE  # the plan's own items are put down before the next one is taken
        turns += 1
    return turns


def commands(home: Home, state: State, way: Way) -> Iterator[str]:
    """The errands as commands, including walking, opening and putting down."""
    room, at, hand = state.room, state.at, state.hand
    opened: list[int] = []
    for verb, item, place in way:
        name = home.receptacles[place]
        preposition = RECEPTACLES[home.kinds[place]][1]
        yield from go_to(home, room, at, place)
        room, at = home.room_of[place], place
        if verb in ("take", "put") and not state.opened[place] and place not in opened:
            opened.append(place)
            yield f"open {name}"
        if verb == "take":
            if hand != NOWHERE:
                yield f"put {home.items[hand]} {preposition} {name}"
            yield f"take {home.items[item]} from {name}"
        elif verb == "put":
            yield f"put {home.items[item]} {preposition} {name}"
        elif verb == "use":
            if not state.lit:
                yield f"use {LAMP}"
        else:
            yield f"{verb} {home.items[item]} with {name}"
        hand = NOWHERE


def go_to(home: Home, room: int, at: int, place: int) -> Iterator[str]:
    """The commands from ``at`` in ``room`` to the receptacle ``place``."""
    if at == place:
        return
    goal = home.room_of[place]
    while room != goal:
        room = next_room(home, room, goal)
        yield f"go to {home.rooms[room]}"
    yield f"go to {home.receptacles[place]}"


def next_room(home: Home, room: int, goal: int) -> int:
    """The room next to ``room`` on the way to the room ``goal``."""
    return min(home.exits[room], key=lambda other: home.apart[other][goal])
